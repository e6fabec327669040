import java.io.File;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;

/** Kafka's command line tools, each run as the process a user would start. */
final class ToolScenarios {
    private static final String LINE = System.lineSeparator();

    private ToolScenarios() {}

    static void register(Suite suite) {
        Duration limit = Duration.ofSeconds(60);
        suite.scenario("kafka-topics", limit, ToolScenarios::topics);
        suite.scenario("kafka-configs", limit, ToolScenarios::configs);
        suite.scenario("kafka-console-producer", limit, ToolScenarios::consoleProducer);
        suite.scenario("kafka-console-consumer", limit, ToolScenarios::consoleConsumer);
        suite.scenario("kafka-console-consumer-group", limit, ToolScenarios::consoleConsumerGroup);
        suite.scenario("kafka-consumer-groups", limit, ToolScenarios::consumerGroups);
        suite.scenario("kafka-get-offsets", limit, ToolScenarios::getOffsets);
        suite.scenario("kafka-broker-api-versions", limit, ToolScenarios::brokerApiVersions);
        suite.scenario("kafka-producer-perf-test", limit, ToolScenarios::producerPerformance);
        suite.scenario("kafka-consumer-perf-test", limit, ToolScenarios::consumerPerformance);
    }

    /** Runs a tool against the broker and returns what it printed; any other exit code than 0 is a failure. */
    static String tool(String input, String name, String... arguments) throws Exception {
        return run(0, input, name, arguments);
    }

    /** Runs a tool that is to fail, and returns all that it said. */
    static String refused(String name, String... arguments) throws Exception {
        return run(1, "", name, arguments);
    }

    /** The name of a tool may have a command behind it that has to come before the address of the broker. */
    private static String run(int exitCode, String input, String name, String... arguments) throws Exception {
        List<String> command = new ArrayList<>(List.of(System.getenv("KAFKA_TOOL"), "tool"));
        command.addAll(List.of(name.split(" ")));
        command.addAll(List.of("--bootstrap-server", Suite.BOOTSTRAP));
        command.addAll(Arrays.asList(arguments));
        File output = File.createTempFile("alluvium-tool", ".out");
        File errors = File.createTempFile("alluvium-tool", ".err");
        try {
            Process process = new ProcessBuilder(command).redirectOutput(output).redirectError(errors).start();
            try (OutputStream stdin = process.getOutputStream()) {
                stdin.write(input.getBytes(StandardCharsets.UTF_8));
            }
            boolean ended = process.waitFor(45, TimeUnit.SECONDS);
            if (!ended) {
                process.destroyForcibly();
            }
            String printed = Files.readString(output.toPath());
            String said = name + " printed: " + printed + Files.readString(errors.toPath());
            Suite.check(ended, "not done within 45 s; " + said);
            Suite.same(exitCode, process.exitValue(), "exit code; " + said);
            return exitCode == 0 ? printed : printed + Files.readString(errors.toPath());
        } finally {
            Files.deleteIfExists(output.toPath());
            Files.deleteIfExists(errors.toPath());
        }
    }

    static void contains(String printed, String part) {
        Suite.check(printed.contains(part), "\"" + part + "\" is not in: " + printed);
    }

    private static List<String> lines(String printed) {
        return printed.lines().filter(line -> !line.isBlank()).sorted().toList();
    }

    private static void topics() throws Exception {
        String topic = Suite.unique("tool-topics");
        contains(tool("", "kafka-topics", "--create", "--topic", topic, "--partitions", "3", "--config", "retention.ms=86400000"),
                "Created topic " + topic);
        contains(tool("", "kafka-topics", "--list"), topic);
        tool("", "kafka-topics", "--alter", "--topic", topic, "--partitions", "4");
        String description = tool("", "kafka-topics", "--describe", "--topic", topic);
        contains(description, "PartitionCount: 4");
        contains(description, "retention.ms=86400000");
        tool("", "kafka-topics", "--delete", "--topic", topic);
        Suite.check(!tool("", "kafka-topics", "--list").contains(topic), "listed after it was deleted");
    }

    private static void configs() throws Exception {
        String topic = Clients.topic("tool-configs");
        tool("", "kafka-configs", "--alter", "--topic", topic, "--add-config", "retention.ms=7200000,max.message.bytes=50000");
        String described = tool("", "kafka-configs", "--describe", "--topic", topic);
        contains(described, "retention.ms=7200000");
        contains(described, "max.message.bytes=50000");
        tool("", "kafka-configs", "--alter", "--topic", topic, "--delete-config", "retention.ms");
        Suite.check(!tool("", "kafka-configs", "--describe", "--topic", topic).contains("retention.ms=7200000"), "still set");
    }

    private static void consoleProducer() throws Exception {
        String topic = Clients.topic("tool-producer", 1, Map.of());
        tool("one" + LINE + "two" + LINE, "kafka-console-producer", "--topic", topic);
        tool("h1:a,h2:b\tkey\tthree" + LINE, "kafka-console-producer", "--topic", topic, "--compression-codec", "zstd",
                "--reader-property", "parse.key=true", "--reader-property", "parse.headers=true");
        List<ConsumerRecord<String, String>> records = Clients.readFrom(topic, 0, 0, 3);
        Suite.same(List.of("one", "two", "three"), Clients.values(records), "values");
        Suite.same("key", records.get(2).key(), "key");
        Suite.same("b", new String(records.get(2).headers().lastHeader("h2").value(), StandardCharsets.UTF_8), "header");
    }

    private static void consoleConsumer() throws Exception {
        String topic = RecordScenarios.filled("tool-consumer", 5);
        String all = tool("", "kafka-console-consumer", "--topic", topic, "--from-beginning", "--max-messages", "15",
                "--timeout-ms", "30000", "--formatter-property", "print.partition=true", "--formatter-property", "print.key=true",
                "--formatter-property", "print.timestamp=true");
        Suite.same(15, lines(all).size(), "lines");
        contains(all, "p2-4");
        contains(all, "CreateTime:");
        String part = tool("", "kafka-console-consumer", "--topic", topic, "--partition", "1", "--offset", "3",
                "--max-messages", "2", "--timeout-ms", "30000");
        Suite.same(List.of("p1-3", "p1-4"), lines(part), "values from offset 3");
    }

    private static void consoleConsumerGroup() throws Exception {
        String topic = RecordScenarios.filled("tool-consumer-group", 4);
        String group = Suite.unique("tool-group");
        String first = tool("", "kafka-console-consumer", "--topic", topic, "--group", group, "--from-beginning",
                "--max-messages", "12", "--timeout-ms", "30000");
        Suite.same(12, lines(first).size(), "lines");
        try (KafkaProducer<String, String> producer = Clients.producer()) {
            Clients.send(producer, topic, 0, List.of("later"));
        }
        String second = tool("", "kafka-console-consumer", "--topic", topic, "--group", group, "--from-beginning",
                "--max-messages", "1", "--timeout-ms", "30000");
        Suite.same(List.of("later"), lines(second), "what the group had not read");
    }

    private static void consumerGroups() throws Exception {
        String topic = RecordScenarios.filled("tool-groups", 6);
        String group = Suite.unique("tool-described-group");
        tool("", "kafka-consumer-groups", "--group", group, "--topic", topic, "--reset-offsets", "--to-offset", "2", "--execute");
        contains(tool("", "kafka-consumer-groups", "--list"), group);
        String description = tool("", "kafka-consumer-groups", "--describe", "--group", group);
        long rows = description.lines().map(line -> line.trim().split("\\s+"))
                .filter(words -> words.length > 5 && words[1].equals(topic) && words[3].equals("2") && words[4].equals("6") && words[5].equals("4"))
                .count();
        Suite.check(rows == 3, "not three partitions at offset 2 of 6: " + description);
        tool("", "kafka-consumer-groups", "--delete", "--group", group);
        Suite.check(!tool("", "kafka-consumer-groups", "--list").contains(group), "listed after it was deleted");
    }

    private static void getOffsets() throws Exception {
        String topic = RecordScenarios.filled("tool-offsets", 7);
        Suite.same(List.of(topic + ":0:7", topic + ":1:7", topic + ":2:7"),
                lines(tool("", "kafka-get-offsets", "--topic", topic)), "latest offsets");
        Suite.same(List.of(topic + ":0:0", topic + ":1:0", topic + ":2:0"),
                lines(tool("", "kafka-get-offsets", "--topic", topic, "--time", "earliest")), "earliest offsets");
    }

    private static void brokerApiVersions() throws Exception {
        String printed = tool("", "kafka-broker-api-versions");
        contains(printed, "Produce(0)");
        contains(printed, "Fetch(1)");
        contains(printed, "ApiVersions(18)");
    }

    private static void producerPerformance() throws Exception {
        String topic = Clients.topic("tool-performance");
        String printed = tool("", "kafka-producer-perf-test", "--topic", topic, "--num-records", "20000", "--record-size", "1024",
                "--throughput", "-1", "--command-property", "acks=all");
        contains(printed, "20000 records sent");
        String older = tool("", "kafka-producer-perf-test", "--topic", topic, "--num-records", "2000", "--record-size", "100",
                "--throughput", "10000", "--producer-props", "acks=1", "compression.type=lz4");
        contains(older, "2000 records sent");
    }

    private static void consumerPerformance() throws Exception {
        String topic = Clients.topic("tool-consumer-performance");
        List<String> values = Clients.numbered("x".repeat(500), 10_000);
        try (KafkaProducer<String, String> producer = Clients.producer()) {
            Clients.send(producer, topic, 0, values);
        }
        String printed = tool("", "kafka-consumer-perf-test", "--topic", topic, "--num-records", "10000", "--timeout", "30000", "--hide-header");
        String[] fields = printed.strip().split(",");
        Suite.check(fields.length >= 6 && Long.parseLong(fields[4].strip()) >= 10_000, "not 10000 records: " + printed);
    }
}
