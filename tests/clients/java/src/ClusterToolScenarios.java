import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.KafkaConsumer;

/** What Kafka's tools say about groups, nodes, leaders and the metadata of a cluster: the answer, or one clear sentence of refusal. */
final class ClusterToolScenarios {
    private static final Duration LIMIT = Duration.ofSeconds(150);

    private ClusterToolScenarios() {}

    static void register(Suite suite) {
        suite.scenario("kafka-consumer-groups-describe", LIMIT, ClusterToolScenarios::describedGroups);
        suite.scenario("kafka-consumer-groups-reset-offsets", LIMIT, ClusterToolScenarios::resetOffsets);
        suite.scenario("kafka-consumer-groups-delete", LIMIT, ClusterToolScenarios::deletedGroups);
        suite.scenario("kafka-consumer-groups-new-protocol", LIMIT, ClusterToolScenarios::newProtocol);
        suite.scenario("kafka-groups", LIMIT, ClusterToolScenarios::groups);
        suite.scenario("kafka-metadata-quorum", LIMIT, ClusterToolScenarios::metadataQuorum);
        suite.scenario("kafka-cluster", LIMIT, ClusterToolScenarios::cluster);
        suite.scenario("kafka-features", LIMIT, ClusterToolScenarios::features);
        suite.scenario("kafka-log-dirs", LIMIT, ClusterToolScenarios::logDirs);
        suite.scenario("kafka-leader-election", LIMIT, ClusterToolScenarios::leaderElection);
        suite.scenario("kafka-reassign-partitions", LIMIT, ClusterToolScenarios::reassignPartitions);
        suite.scenario("kafka-configs-brokers", LIMIT, ClusterToolScenarios::brokerConfigs);
    }

    private static String groupTool(String... arguments) throws Exception {
        return ToolScenarios.tool("", "kafka-consumer-groups", arguments);
    }

    private static void contains(String printed, String part) {
        ToolScenarios.contains(printed, part);
    }

    /** Nothing that a tool prints for people may be a trace of the stack. */
    private static String clean(String printed) {
        Suite.check(!printed.contains("\tat "), "a stack trace: " + printed);
        return printed;
    }

    /** The rows of a table whose first words are these, as words. */
    private static List<String[]> rows(String printed, String... first) {
        return printed.lines().map(line -> line.trim().split("\\s+"))
                .filter(words -> words.length >= first.length && Arrays.equals(first, Arrays.copyOf(words, first.length)))
                .toList();
    }

    private static String row(String printed, String... first) {
        List<String[]> found = rows(printed, first);
        Suite.check(found.size() == 1, "not one row of " + String.join(" ", first) + " in: " + printed);
        return String.join(" ", found.get(0));
    }

    private static String offsetIn(String printed, String group, String topic, int partition) {
        return row(printed, group, topic, Integer.toString(partition)).split(" ")[3];
    }

    /** A consumer of the classic protocol that has its partitions. */
    private static KafkaConsumer<String, String> member(String group, String topic, int partitions) throws Exception {
        return member(group, topic, partitions, "classic");
    }

    private static KafkaConsumer<String, String> member(String group, String topic, int partitions, String protocol)
            throws Exception {
        KafkaConsumer<String, String> consumer =
                Clients.consumer("group.id", group, "group.protocol", protocol, "client.id", "described");
        consumer.subscribe(List.of(topic));
        Suite.eventually(Duration.ofSeconds(30), "the member has its partitions", () -> {
            consumer.poll(Duration.ofMillis(100));
            return consumer.assignment().size() == partitions;
        });
        return consumer;
    }

    private static void describedGroups() throws Exception {
        String topic = RecordScenarios.filled("tool-described", 5);
        String group = Suite.unique("tool-members");
        try (KafkaConsumer<String, String> member = member(group, topic, 3)) {
            member.commitSync();
            String members = clean(groupTool("--describe", "--group", group, "--members", "--verbose"));
            contains(members, topic + ":0,1,2");
            contains(members, "described");
            String state = clean(groupTool("--describe", "--group", group, "--state"));
            String row = row(state, group);
            Suite.check(row.contains("range") && row.contains("Stable") && row.endsWith(" 1"), "state: " + state);
            String offsets = clean(groupTool("--describe", "--group", group));
            String first = row(offsets, group, topic, "0");
            Suite.check(first.contains("described") && first.split(" ")[4].equals("5"), "offsets: " + offsets);
            contains(clean(groupTool("--describe", "--all-groups")), group);
            contains(groupTool("--list", "--state", "Stable"), group);
            contains(groupTool("--list", "--type", "classic"), group);
            Suite.check(!groupTool("--list", "--state", "Empty").contains(group), "a group with a member is listed as empty");
        }
        Suite.check(row(groupTool("--list", "--state"), group).endsWith("Empty"), "the group is not empty when its member has left");
    }

    private static void newProtocol() throws Exception {
        String topic = RecordScenarios.filled("tool-new-protocol", 4);
        String group = Suite.unique("tool-new-protocol-group");
        try (KafkaConsumer<String, String> member = member(group, topic, 3, "consumer")) {
            Suite.eventually(Duration.ofSeconds(30), "the member has read everything", () -> {
                member.poll(Duration.ofMillis(100));
                return member.assignment().stream().allMatch(partition -> member.position(partition) == 4);
            });
            member.commitSync();
            Suite.check(row(groupTool("--list", "--type", "consumer"), group).endsWith("Consumer"), "not listed by its type");
            String members = clean(groupTool("--describe", "--group", group, "--members", "--verbose"));
            contains(members, topic + ":0,1,2");
            Suite.check(row(members, group).split(" ")[5].matches("[0-9]+"), "no epoch: " + members);
            String state = row(clean(groupTool("--describe", "--group", group, "--state", "--verbose")), group);
            Suite.check(state.contains("uniform") && state.contains("Stable"), "state: " + state);
            Suite.same("4", offsetIn(clean(groupTool("--describe", "--group", group)), group, topic, 2), "committed");
            contains(clean(groupTool("--group", group, "--topic", topic, "--reset-offsets", "--to-earliest", "--execute")),
                    "but the current state is Stable");
            contains(clean(groupTool("--delete", "--group", group)), "The group is not empty");
            Suite.same(group + " Consumer consumer", row(ToolScenarios.tool("", "kafka-groups", "--list"), group), "row");
        }
        String reset = clean(groupTool("--group", group, "--topic", topic, "--reset-offsets", "--to-offset", "1", "--execute"));
        Suite.same("1", offsetIn(reset, group, topic, 0), "new offset");
        Suite.same("1", offsetIn(groupTool("--describe", "--group", group), group, topic, 2), "committed after the reset");
        contains(clean(groupTool("--delete", "--group", group)), "('" + group + "') was successful.");
    }

    private static void resetOffsets() throws Exception {
        String topic = RecordScenarios.filled("tool-reset", 6);
        String group = Suite.unique("tool-reset-group");
        String[] reset = {"--group", group, "--topic", topic, "--reset-offsets", "--execute"};
        for (var scenario : List.of(
                Map.entry(List.of("--to-offset", "2"), "2"),
                Map.entry(List.of("--shift-by", "3"), "5"),
                Map.entry(List.of("--shift-by", "-100"), "0"),
                Map.entry(List.of("--to-latest"), "6"),
                Map.entry(List.of("--to-current"), "6"),
                Map.entry(List.of("--to-earliest"), "0"),
                Map.entry(List.of("--to-datetime", "2100-01-01T00:00:00.000"), "6"),
                Map.entry(List.of("--by-duration", "PT1H"), "0"))) {
            String[] arguments = Arrays.copyOf(reset, reset.length + scenario.getKey().size());
            for (int index = 0; index < scenario.getKey().size(); index++) {
                arguments[reset.length + index] = scenario.getKey().get(index);
            }
            String printed = clean(groupTool(arguments));
            Suite.same(scenario.getValue(), offsetIn(printed, group, topic, 1), scenario.getKey() + " in partition 1");
        }
        clean(groupTool("--group", group, "--topic", topic + ":0", "--reset-offsets", "--to-latest", "--dry-run"));
        Path plan = Files.createTempFile("alluvium-plan", ".csv");
        try {
            Files.writeString(plan, topic + ",2,4\n", StandardCharsets.UTF_8);
            clean(groupTool("--group", group, "--reset-offsets", "--from-file", plan.toString(), "--execute"));
        } finally {
            Files.deleteIfExists(plan);
        }
        String described = groupTool("--describe", "--group", group);
        Suite.same("0", offsetIn(described, group, topic, 0), "partition 0, where nothing was executed");
        Suite.same("4", offsetIn(described, group, topic, 2), "partition 2, from the file");
        try (KafkaConsumer<String, String> member = member(group, topic, 3)) {
            String refused = clean(groupTool(reset[0], reset[1], reset[2], reset[3], reset[4], reset[5], "--to-latest"));
            contains(refused, "is inactive, but the current state is Stable");
            Suite.same(3, member.assignment().size(), "partitions of the member");
        }
    }

    private static void deletedGroups() throws Exception {
        String topic = RecordScenarios.filled("tool-deleted", 3);
        String group = Suite.unique("tool-deleted-group");
        try (KafkaConsumer<String, String> member = member(group, topic, 3)) {
            member.commitSync();
            contains(clean(groupTool("--delete", "--group", group)), "The group is not empty");
            contains(clean(groupTool("--delete-offsets", "--group", group, "--topic", topic + ":0")), "actively subscribed to it");
        }
        String deleted = clean(groupTool("--delete-offsets", "--group", group, "--topic", topic + ":0"));
        contains(deleted, "Successful");
        String described = groupTool("--describe", "--group", group);
        Suite.check(rows(described, group, topic, "0").isEmpty(), "partition 0 is still committed: " + described);
        String absent = Suite.unique("tool-never-was");
        String some = clean(groupTool("--delete", "--group", group, "--group", absent));
        contains(some, "Group '" + absent + "' could not be deleted");
        contains(some, "deleted successfully: '" + group + "'");
        contains(clean(groupTool("--delete-offsets", "--group", absent, "--topic", topic)), "The group id does not exist");
    }

    private static void groups() throws Exception {
        String topic = RecordScenarios.filled("tool-groups-listed", 1);
        String group = Suite.unique("tool-listed-group");
        try (KafkaConsumer<String, String> member = member(group, topic, 3)) {
            String listed = clean(ToolScenarios.tool("", "kafka-groups", "--list"));
            Suite.same(group + " Classic consumer", row(listed, group), "row of the group");
            contains(clean(ToolScenarios.tool("", "kafka-groups", "--list", "--consumer")), group);
            Suite.check(!ToolScenarios.tool("", "kafka-groups", "--list", "--share").contains(group), "listed as a share group");
            Suite.same(3, member.assignment().size(), "partitions of the member");
        }
    }

    private static void metadataQuorum() throws Exception {
        String status = clean(ToolScenarios.tool("", "kafka-metadata-quorum", "describe", "--status"));
        for (String part : List.of("ClusterId:", "LeaderId:", "LeaderEpoch:", "HighWatermark:", "CurrentVoters:")) {
            contains(status, part);
        }
        Suite.same("0", rows(status, "MaxFollowerLag:").get(0)[1], "lag of the followers");
        String replication = clean(ToolScenarios.tool("", "kafka-metadata-quorum", "describe", "--replication"));
        Suite.check(replication.lines().filter(line -> line.trim().endsWith("Leader")).count() == 1, "not one leader: " + replication);
        if (!Suite.REFERENCE) {
            String refused = ToolScenarios.refused("kafka-metadata-quorum", "remove-controller", "--controller-id", "77",
                    "--controller-directory-id", "AAAAAAAAAAAAAAAAAAAAAQ");
            contains(refused, "The node does not support REMOVE_RAFT_VOTER");
        }
    }

    private static void cluster() throws Exception {
        contains(clean(ToolScenarios.tool("", "kafka-cluster cluster-id")), "Cluster ID: ");
        String endpoints = clean(ToolScenarios.tool("", "kafka-cluster list-endpoints"));
        contains(endpoints, "broker");
        contains(endpoints, Suite.BOOTSTRAP.split(":")[1]);
        contains(clean(ToolScenarios.tool("", "kafka-cluster list-endpoints", "--include-fenced-brokers")), "unfenced");
        if (!Suite.REFERENCE) {
            contains(clean(ToolScenarios.tool("", "kafka-cluster unregister", "--id", "77")),
                    "does not support the broker unregistration API");
        }
    }

    private static void features() throws Exception {
        clean(ToolScenarios.tool("", "kafka-features", "describe"));
        if (!Suite.REFERENCE) {
            contains(clean(ToolScenarios.refused("kafka-features", "upgrade", "--release-version", "4.0")),
                    "The node does not support UPDATE_FEATURES");
        }
    }

    private static void logDirs() throws Exception {
        String topic = RecordScenarios.filled("tool-log-dirs", 4);
        String printed = clean(ToolScenarios.tool("", "kafka-log-dirs", "--describe", "--topic-list", topic));
        for (int partition = 0; partition < 3; partition++) {
            contains(printed, "\"partition\":\"" + topic + "-" + partition + "\"");
        }
        Suite.check(!printed.contains("\"size\":0,"), "a partition with records has no size: " + printed);
    }

    private static void leaderElection() throws Exception {
        String topic = RecordScenarios.filled("tool-election", 1);
        clean(ToolScenarios.tool("", "kafka-leader-election", "--election-type", "preferred", "--all-topic-partitions"));
        String one = clean(ToolScenarios.tool("", "kafka-leader-election", "--election-type", "preferred", "--topic", topic,
                "--partition", "1"));
        contains(one, "Valid replica already elected for partitions " + topic + "-1");
        if (!Suite.REFERENCE) {
            contains(clean(ToolScenarios.tool("", "kafka-leader-election", "--election-type", "unclean", "--topic", topic,
                    "--partition", "0")), "Valid replica already elected for partitions " + topic + "-0");
        }
    }

    private static void reassignPartitions() throws Exception {
        String topic = RecordScenarios.filled("tool-reassign", 1);
        contains(clean(ToolScenarios.tool("", "kafka-reassign-partitions", "--list")), "No partition reassignments found.");
        if (Suite.REFERENCE) {
            return;
        }
        Path plan = plan("{\"version\":1,\"partitions\":[{\"topic\":\"" + topic + "\",\"partition\":0,\"replicas\":[1]}]}");
        try {
            String refused = clean(ToolScenarios.refused("kafka-reassign-partitions", "--reassignment-json-file", plan.toString(),
                    "--execute"));
            contains(refused, topic + "-0: Partitions have no replicas to move");
            String cancelled = clean(ToolScenarios.tool("", "kafka-reassign-partitions", "--reassignment-json-file",
                    plan.toString(), "--cancel", "--preserve-throttles"));
            contains(cancelled, "None of the specified partition reassignments are active.");
            String verified = clean(ToolScenarios.tool("", "kafka-reassign-partitions", "--reassignment-json-file",
                    plan.toString(), "--verify"));
            // One node is all that the plan names; several are told as replicas, whatever a plan says.
            Suite.check(verified.contains("Reassignment of partition " + topic + "-0 is completed.")
                    || verified.contains("There is no active reassignment of partition " + topic + "-0, but replica set is"),
                    "verified: " + verified);
        } finally {
            Files.deleteIfExists(plan);
        }
    }

    private static Path plan(String json) throws IOException {
        return Files.writeString(Files.createTempFile("alluvium-reassign", ".json"), json, StandardCharsets.UTF_8);
    }

    private static void brokerConfigs() throws Exception {
        if (Suite.REFERENCE) {
            throw new Suite.Skip("these configurations are Alluvium's own");
        }
        String all = clean(ToolScenarios.tool("", "kafka-configs", "--describe", "--entity-type", "brokers", "--entity-default"));
        contains(all, "alluvium.shards=");
        String[] words = all.substring(all.indexOf("alluvium.shards=")).split("[=\\s]");
        String same = "alluvium.shards=" + words[1];
        clean(ToolScenarios.tool("", "kafka-configs", "--alter", "--entity-type", "brokers", "--entity-default", "--add-config", same));
        contains(ToolScenarios.refused("kafka-configs", "--alter", "--entity-type", "brokers", "--entity-default",
                "--add-config", "alluvium.shards=0"), "alluvium.shards");
        contains(ToolScenarios.refused("kafka-configs", "--alter", "--entity-type", "brokers", "--entity-default",
                "--add-config", "num.partitions=7"), "Broker settings are given at start");
    }
}
