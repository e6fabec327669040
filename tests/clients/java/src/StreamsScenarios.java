import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** Kafka Streams with exactly_once_v2: a map, and counts in a store with a changelog, in processes that are killed. */
final class StreamsScenarios {
    private StreamsScenarios() {}

    static void register(Suite suite) {
        suite.scenario("streams-upper-case", Duration.ofSeconds(90), StreamsScenarios::upperCase);
        suite.scenario("streams-count-with-kills", Duration.ofSeconds(240), StreamsScenarios::counts);
    }

    /** A process of the application. */
    private static final class Application implements AutoCloseable {
        private final List<String> command;
        private Process process;

        Application(String kind, String id, String from, String to, Path state) throws IOException {
            String java = ProcessHandle.current().info().command().orElse("java");
            command = List.of(java, "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
                    "-Dlog4j2.configurationFile=" + System.getProperty("log4j2.configurationFile"), "-Dalluvium.log.level=ERROR",
                    "-cp", System.getProperty("java.class.path"), "StreamsApplication", kind, Suite.BOOTSTRAP, id, from, to, state.toString());
            start();
        }

        void start() throws IOException {
            process = new ProcessBuilder(command).redirectOutput(ProcessBuilder.Redirect.DISCARD)
                    .redirectError(ProcessBuilder.Redirect.INHERIT).start();
        }

        /** kill -9. */
        void kill() throws InterruptedException {
            process.destroyForcibly();
            Suite.check(process.waitFor(10, TimeUnit.SECONDS), "a process outlives its kill");
        }

        void running() {
            Suite.check(process.isAlive(), "the application has ended by itself");
        }

        /** The end in good order. */
        void stop() throws Exception {
            process.getOutputStream().close();
            Suite.check(process.waitFor(40, TimeUnit.SECONDS), "the application does not end");
            Suite.same(0, process.exitValue(), "exit code of the application");
        }

        @Override
        public void close() throws InterruptedException {
            kill();
        }
    }

    private static void removeAll(Path folder) throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            files.sorted(Comparator.reverseOrder()).map(Path::toFile).forEach(File::delete);
        }
    }

    private static void upperCase() throws Exception {
        String from = RecordScenarios.filled("streams-lower", 100);
        String to = Clients.topic("streams-upper");
        List<TopicPartition> all = RecordScenarios.partitions(to, 3);
        Path state = Files.createTempDirectory("alluvium-streams");
        try (Application application = new Application("upper", from + "-application", from, to, state)) {
            Suite.eventually(Duration.ofSeconds(60), "everything is there in upper case", () -> {
                application.running();
                return TransactionScenarios.everything("read_committed", all).size() >= 300;
            });
            application.stop();
        } finally {
            removeAll(state);
        }
        List<String> expected = new ArrayList<>();
        for (int partition = 0; partition < 3; partition++) {
            expected.addAll(Clients.numbered("P" + partition + "-", 100));
        }
        Suite.same(expected.stream().sorted().toList(), TransactionScenarios.values("read_committed", all).stream().sorted().toList(), "values");
    }

    /** Counts by word in the order in which they were written. */
    private static Map<String, List<String>> written(List<TopicPartition> partitions) {
        Map<String, List<String>> counts = new TreeMap<>();
        for (ConsumerRecord<String, String> record : TransactionScenarios.everything("read_committed", partitions)) {
            counts.computeIfAbsent(record.key(), word -> new ArrayList<>()).add(record.value());
        }
        return counts;
    }

    private static int total(Map<String, List<String>> counts) {
        return counts.values().stream().mapToInt(List::size).sum();
    }

    /** Each word is counted 1, 2, 3 and so on, once each, though the process is killed again and again and loses its state. */
    private static void counts() throws Exception {
        String from = Clients.topic("streams-words");
        String to = Clients.topic("streams-counts");
        List<TopicPartition> all = RecordScenarios.partitions(to, 3);
        int words = 12;
        int rounds = 5;
        int each = 50;
        Path state = Files.createTempDirectory("alluvium-streams");
        Application application = new Application("count", from + "-application", from, to, state);
        try (application; KafkaProducer<String, String> producer = Clients.producer("linger.ms", "0")) {
            for (int round = 0; round < rounds; round++) {
                for (int i = 0; i < each * words / 2; i++) {
                    String line = "word" + i % words + " word" + (i + 5) % words;
                    producer.send(new ProducerRecord<>(from, i % 3, null, line));
                    if (i % 40 == 0) {
                        producer.flush();
                    }
                }
                producer.flush();
                int enough = round * each * words + each * words / 3;
                Suite.eventually(Duration.ofSeconds(60), "a third of round " + round + " is counted", () -> {
                    application.running();
                    return total(written(all)) >= enough;
                });
                if (round < rounds - 1) {
                    application.kill();
                    if (round % 2 == 1) {
                        // A new machine: the counts come back from the changelog alone.
                        removeAll(state);
                    }
                    application.start();
                }
            }
            Suite.eventually(Duration.ofSeconds(60), "everything is counted", () -> total(written(all)) >= rounds * each * words);
            application.stop();
        } finally {
            removeAll(state);
        }
        Map<String, List<String>> counts = written(all);
        Suite.same(words, counts.size(), "words");
        List<String> expected = Clients.numbered("", rounds * each + 1).subList(1, rounds * each + 1);
        counts.forEach((word, found) -> Suite.same(expected, found, "counts of " + word));
    }
}
