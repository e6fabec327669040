import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.admin.TransactionListing;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.TransactionalIdNotFoundException;

/** What administrators see of transactions and do about them: AdminClient, kafka-transactions, kafka-console-consumer. */
final class TransactionToolScenarios {
    private TransactionToolScenarios() {}

    static void register(Suite suite) {
        Duration limit = Duration.ofSeconds(150);
        suite.scenario("admin-transactions", TransactionToolScenarios::admin);
        suite.scenario("admin-transactions-abort", TransactionToolScenarios::adminAborts);
        suite.scenario("admin-transactions-fence", TransactionToolScenarios::adminFences);
        suite.scenario("kafka-transactions-list-describe", limit, TransactionToolScenarios::listed);
        suite.scenario("kafka-transactions-abort", limit, TransactionToolScenarios::aborted);
        suite.scenario("kafka-transactions-find-hanging", limit, TransactionToolScenarios::hanging);
        suite.scenario("kafka-console-consumer-read-committed", limit, TransactionToolScenarios::consoleConsumer);
    }

    private static void admin() throws Exception {
        String topic = Clients.topic("admin-transactions");
        try (Admin admin = Clients.admin();
                KafkaProducer<String, String> producer = TransactionScenarios.transactional(topic, "transaction.timeout.ms", "45000")) {
            TransactionDescription before = TransactionScenarios.described(topic);
            Suite.same(TransactionState.EMPTY, before.state(), "state before");
            Suite.same(45_000L, before.transactionTimeoutMs(), "timeout");
            Suite.check(before.transactionStartTimeMs().isEmpty(), "it has begun at " + before.transactionStartTimeMs());
            producer.beginTransaction();
            Clients.send(producer, topic, 0, List.of("a", "b"));
            Clients.send(producer, topic, 2, List.of("c"));
            TransactionDescription open = TransactionScenarios.described(topic);
            Suite.same(TransactionState.ONGOING, open.state(), "state while it is open");
            Suite.same(Set.of(new TopicPartition(topic, 0), new TopicPartition(topic, 2)), open.topicPartitions(), "partitions");
            long started = open.transactionStartTimeMs().orElseThrow();
            Suite.check(Math.abs(started - System.currentTimeMillis()) < 30_000, "begun at " + started);
            List<ProducerState> active = producers(admin, new TopicPartition(topic, 0));
            Suite.same(1, active.size(), "producers");
            Suite.same(open.producerId(), active.get(0).producerId(), "its id");
            Suite.same(open.producerEpoch(), active.get(0).producerEpoch(), "its epoch");
            Suite.same(0L, active.get(0).currentTransactionStartOffset().orElse(-1), "where its transaction begins");
            Suite.same(1, active.get(0).lastSequence(), "its last sequence");
            producer.commitTransaction();
            TransactionDescription after = TransactionScenarios.described(topic);
            Suite.same(TransactionState.COMPLETE_COMMIT, after.state(), "state after the commit");
            Suite.same(Set.of(), after.topicPartitions(), "partitions after the commit");
            producer.beginTransaction();
            Clients.send(producer, topic, 1, List.of("d"));
            producer.abortTransaction();
            Suite.same(TransactionState.COMPLETE_ABORT, TransactionScenarios.described(topic).state(), "state after the abort");
            producers(admin, new TopicPartition(topic, 0)).forEach(one ->
                    Suite.check(one.currentTransactionStartOffset().isEmpty(), "still open at " + one.currentTransactionStartOffset()));
            listings(admin, topic, after.producerId());
        }
        Throwable error = TransactionScenarios.failure(() -> TransactionScenarios.described(Suite.unique("nobody")));
        Suite.check(error instanceof TransactionalIdNotFoundException, "an id that is not known ends with " + error);
    }

    private static List<ProducerState> producers(Admin admin, TopicPartition partition) throws Exception {
        return admin.describeProducers(List.of(partition)).partitionResult(partition).get(20, TimeUnit.SECONDS).activeProducers();
    }

    private static void listings(Admin admin, String id, long producerId) throws Exception {
        ListTransactionsOptions ours = new ListTransactionsOptions().filterProducerIds(List.of(producerId));
        List<TransactionListing> found = List.copyOf(admin.listTransactions(ours).all().get(20, TimeUnit.SECONDS));
        Suite.same(List.of(new TransactionListing(id, producerId, TransactionState.COMPLETE_ABORT)), found, "listed by producer id");
        ListTransactionsOptions ongoing = new ListTransactionsOptions().filterStates(List.of(TransactionState.ONGOING)).filterProducerIds(List.of(producerId));
        Suite.same(0, admin.listTransactions(ongoing).all().get(20, TimeUnit.SECONDS).size(), "listed as ongoing");
        ListTransactionsOptions pattern = new ListTransactionsOptions().filterOnTransactionalIdPattern(id + ".*");
        Suite.same(1, admin.listTransactions(pattern).all().get(20, TimeUnit.SECONDS).size(), "listed by a pattern of ids");
        ListTransactionsOptions lasting = new ListTransactionsOptions().filterOnDuration(3_600_000).filterProducerIds(List.of(producerId));
        Suite.same(0, admin.listTransactions(lasting).all().get(20, TimeUnit.SECONDS).size(), "listed as lasting for an hour");
    }

    private static void adminAborts() throws Exception {
        String topic = Clients.topic("admin-abort", 1, Map.of());
        TopicPartition only = new TopicPartition(topic, 0);
        try (Admin admin = Clients.admin();
                KafkaProducer<String, String> producer = TransactionScenarios.transactional(topic);
                KafkaProducer<String, String> plain = Clients.producer()) {
            producer.beginTransaction();
            Clients.send(producer, topic, 0, List.of("stuck"));
            Clients.send(plain, topic, 0, List.of("behind"));
            ProducerState state = producers(admin, only).stream()
                    .filter(one -> one.currentTransactionStartOffset().isPresent()).findFirst().orElseThrow();
            short epoch = (short) state.producerEpoch();
            admin.abortTransaction(new AbortTransactionSpec(only, state.producerId(), epoch, state.coordinatorEpoch().orElse(0)))
                    .all().get(20, TimeUnit.SECONDS);
            Suite.shows(List.of("behind"), () -> TransactionScenarios.values("read_committed", List.of(only)), "committed");
        }
    }

    private static void adminFences() throws Exception {
        String topic = Clients.topic("admin-fence", 1, Map.of());
        try (Admin admin = Clients.admin();
                KafkaProducer<String, String> producer = TransactionScenarios.transactional(topic)) {
            producer.beginTransaction();
            Clients.send(producer, topic, 0, List.of("fenced"));
            admin.fenceProducers(List.of(topic)).all().get(20, TimeUnit.SECONDS);
            Throwable error = TransactionScenarios.failure(() -> {
                producer.commitTransaction();
                return null;
            });
            Suite.check(error instanceof ProducerFencedException, "a commit ends with " + error);
            List<TopicPartition> all = RecordScenarios.partitions(topic, 1);
            Suite.shows(List.of(), () -> TransactionScenarios.values("read_committed", all), "committed");
            Suite.shows(TransactionScenarios.ends("read_uncommitted", all), () -> TransactionScenarios.ends("read_committed", all), "the end");
        } catch (ExecutionException e) {
            throw new AssertionError("fencing ends with " + e.getCause());
        }
    }

    private static String[] row(String printed, int column, String value) {
        List<String[]> rows = printed.lines().map(line -> line.trim().split("\\s+"))
                .filter(words -> words.length > column && words[column].equals(value)).toList();
        Suite.check(rows.size() == 1, "not one row with " + value + " in: " + printed);
        return rows.get(0);
    }

    private static void listed() throws Exception {
        String topic = Clients.topic("tool-transactions", 1, Map.of());
        try (KafkaProducer<String, String> producer = TransactionScenarios.transactional(topic)) {
            producer.beginTransaction();
            Clients.send(producer, topic, 0, List.of("a"));
            TransactionDescription open = TransactionScenarios.described(topic);
            String[] listed = row(tool("list"), 0, topic);
            Suite.same("Ongoing", listed[3], "state in " + Arrays.toString(listed));
            Suite.same(Long.toString(open.producerId()), listed[2], "producer id");
            String[] described = row(tool("describe", "--transactional-id", topic), 1, topic);
            Suite.same(List.of("Ongoing", "60000"), List.of(described[4], described[5]), "state and timeout");
            Suite.same(topic + "-0", described[8], "partitions in " + Arrays.toString(described));
            String[] active = row(tool("describe-producers", "--topic", topic, "--partition", "0"), 0, Long.toString(open.producerId()));
            Suite.same("0", active[5], "the first offset of the transaction in " + Arrays.toString(active));
            producer.commitTransaction();
        }
        String[] later = row(tool("list"), 0, topic);
        Suite.same("CompleteCommit", later[3], "state after the commit");
    }

    private static String tool(String command, String... arguments) throws Exception {
        // The address of the broker goes before the command of this tool.
        String[] all = new String[arguments.length + 1];
        all[0] = command;
        System.arraycopy(arguments, 0, all, 1, arguments.length);
        return ToolScenarios.tool("", "kafka-transactions", all);
    }

    private static void aborted() throws Exception {
        String topic = Clients.topic("tool-abort", 1, Map.of());
        List<TopicPartition> all = RecordScenarios.partitions(topic, 1);
        try (KafkaProducer<String, String> producer = TransactionScenarios.transactional(topic);
                KafkaProducer<String, String> plain = Clients.producer()) {
            Clients.send(plain, topic, 0, List.of("before"));
            producer.beginTransaction();
            Clients.send(producer, topic, 0, List.of("stuck"));
            Clients.send(plain, topic, 0, List.of("behind"));
            tool("abort", "--topic", topic, "--partition", "0", "--start-offset", "1");
            Suite.shows(List.of("before", "behind"), () -> TransactionScenarios.values("read_committed", all), "committed");
        }
    }

    /** What is open and known to its coordinator does not hang; a transaction of a topic is looked at, or all of a node. */
    private static void hanging() throws Exception {
        String topic = Clients.topic("tool-hanging", 1, Map.of());
        try (KafkaProducer<String, String> producer = TransactionScenarios.transactional(topic)) {
            producer.beginTransaction();
            Clients.send(producer, topic, 0, List.of("a"));
            String[] header = {"Topic", "Partition", "ProducerId"};
            String printed = tool("find-hanging", "--topic", topic, "--max-transaction-timeout", "0");
            Suite.same(header[0], printed.trim().split("\\s+")[0], "the head of " + printed);
            Suite.check(!printed.contains(topic), "it is said to hang: " + printed);
            String ofNode = tool("find-hanging", "--broker-id", Integer.toString(node()));
            Suite.check(!ofNode.contains(topic), "it is said to hang: " + ofNode);
            producer.commitTransaction();
        }
    }

    private static int node() throws Exception {
        try (Admin admin = Clients.admin()) {
            return admin.describeCluster().nodes().get(20, TimeUnit.SECONDS).iterator().next().id();
        }
    }

    private static void consoleConsumer() throws Exception {
        String topic = Clients.topic("tool-read-committed", 1, Map.of());
        try (KafkaProducer<String, String> producer = TransactionScenarios.transactional(topic)) {
            for (String value : List.of("committed-1", "aborted", "committed-2")) {
                producer.beginTransaction();
                Clients.send(producer, topic, 0, List.of(value));
                if (value.equals("aborted")) {
                    producer.abortTransaction();
                } else {
                    producer.commitTransaction();
                }
            }
        }
        String committed = ToolScenarios.tool("", "kafka-console-consumer", "--topic", topic, "--from-beginning", "--max-messages", "2",
                "--timeout-ms", "30000", "--isolation-level", "read_committed");
        Suite.same(List.of("committed-1", "committed-2"), committed.lines().toList(), "committed");
        String everything = ToolScenarios.tool("", "kafka-console-consumer", "--topic", topic, "--from-beginning", "--max-messages", "3",
                "--timeout-ms", "30000");
        Suite.same(List.of("committed-1", "aborted", "committed-2"), everything.lines().toList(), "everything");
    }
}
