package franzgo

import "alluvium/tests/clients/go/suite"

// shippedTests are those of kgo's own tests that talk to a broker; the others need none.
var shippedTests = []string{
	"Test848RegexBrokerResolves",
	"TestAddRemovePartitions",
	"TestClient_Produce",
	"TestClient_ProduceLargeMessages",
	"TestConsumeMaxDecompressBatchBytes",
	"TestConsumeRegex",
	"TestConsumeRegexShareSkipsInternal",
	"TestConsumeTopicRetrieval",
	"TestConsumeTopicRetrieval_Many",
	"TestDirectPartitionPurge",
	"TestGroupETL",
	"TestGroupSimple",
	"TestHookPollStart",
	"TestIssue1034",
	"TestIssue325",
	"TestIssue337",
	"TestIssue434",
	"TestIssue523",
	"TestIssue648",
	"TestIssue769",
	"TestIssue810",
	"TestIssue831",
	"TestIssue865",
	"TestIssueFetchLargerThanBrokerMaxReadBytes",
	"TestIssueProduceBrokerTooOldFailsRecords",
	"TestIssueProduceSyncManualPartitionNegativeDoesNotPanic",
	"TestPauseIssue489",
	"TestPauseIssueOct2023",
	"TestPing",
	"TestPooling",
	"TestShareGroup",
	"TestShareGroupAckOnClose",
	"TestShareGroupETL",
	"TestShareGroupOffsetsAdmin",
	"TestTxnEtl",
	"TestUnknownGroupOffsetFetchPinned",
}

// Shipped is kgo's own test suite, compiled into the executable.
func Shipped(executable string, place *suite.Place) suite.Shipped {
	notRun := map[string]string{}
	if !place.Reference {
		notRun["Test848RegexBrokerResolves"] = "wants __consumer_offsets to be assigned; Alluvium has no internal topics"
		notRun["TestConsumeRegex"] = "wants an internal topic such as __consumer_offsets; Alluvium has none"
	}
	return suite.Shipped{
		Client:     "franz-go",
		Executable: executable,
		Environment: []string{
			"KGO_SEEDS=" + place.Bootstrap,
			"KGO_TEST_RF=1",
			"KGO_TEST_RECORDS=20000",
			"KGO_LOG_LEVEL=none",
		},
		Tests:  shippedTests,
		NotRun: notRun,
	}
}
