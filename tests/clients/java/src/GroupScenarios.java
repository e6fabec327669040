import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.TopicPartition;

/** Consumer groups of the classic protocol: rebalances, committed offsets, a restart of the server. */
final class GroupScenarios {
    private GroupScenarios() {}

    static void register(Suite suite) {
        suite.scenario("group-rebalance", () -> rebalance("rebalance"));
        suite.scenario("group-rebalance-cooperative",
                () -> rebalance("cooperative", "partition.assignment.strategy", CooperativeStickyAssignor.class.getName()));
        suite.scenario("group-member-vanishes", Duration.ofSeconds(60), GroupScenarios::memberVanishes);
        suite.scenario("group-static-member", GroupScenarios::staticMember);
        suite.scenario("group-commit-metadata", GroupScenarios::commitMetadata);
        suite.scenario("group-auto-commit", GroupScenarios::autoCommit);
        suite.scenario("committed-offsets-after-restart", Duration.ofSeconds(120), GroupScenarios::restart);
    }

    /** One member of a group on a thread of its own, since a consumer belongs to one thread. */
    static final class Member implements AutoCloseable {
        final ConcurrentLinkedQueue<ConsumerRecord<String, String>> records = new ConcurrentLinkedQueue<>();
        volatile Set<TopicPartition> assigned = Set.of();
        volatile Throwable error;
        private final AtomicBoolean leaving = new AtomicBoolean();
        private final Thread thread;

        Member(String topic, String... settings) {
            thread = new Thread(() -> run(topic, settings));
            thread.setDaemon(true);
            thread.start();
        }

        private void run(String topic, String... settings) {
            try (KafkaConsumer<String, String> consumer = Clients.consumer(settings)) {
                consumer.subscribe(List.of(topic));
                while (!leaving.get()) {
                    consumer.poll(Duration.ofMillis(100)).forEach(records::add);
                    assigned = Set.copyOf(consumer.assignment());
                    if (!assigned.isEmpty()) {
                        consumer.commitAsync();
                    }
                }
                consumer.commitSync();
            } catch (Throwable e) {
                error = e;
            }
            assigned = Set.of();
        }

        int partitions() {
            Suite.check(error == null, "a member ended: " + error);
            return assigned.size();
        }

        @Override
        public void close() throws InterruptedException {
            leaving.set(true);
            thread.join(20_000);
            Suite.check(!thread.isAlive(), "a member did not close within 20 s");
        }
    }

    static String[] settings(String group, String... more) {
        List<String> all = new ArrayList<>(List.of("group.id", group, "heartbeat.interval.ms", "500", "session.timeout.ms", "10000"));
        all.addAll(List.of(more));
        return all.toArray(new String[0]);
    }

    private static void rebalance(String name, String... more) throws Exception {
        String topic = RecordScenarios.filled(name, 20);
        String group = Suite.unique(name + "-group");
        try (Member first = new Member(topic, settings(group, more))) {
            Suite.eventually(Duration.ofSeconds(20), "one member has three partitions", () -> first.partitions() == 3);
            try (Member second = new Member(topic, settings(group, more))) {
                Suite.eventually(Duration.ofSeconds(25), "two members share three partitions",
                        () -> first.partitions() + second.partitions() == 3 && first.partitions() > 0 && second.partitions() > 0);
                Set<TopicPartition> both = new HashSet<>(first.assigned);
                both.addAll(second.assigned);
                Suite.same(3, both.size(), "different partitions assigned");
            }
            Suite.eventually(Duration.ofSeconds(25), "the one that stays has three partitions", () -> first.partitions() == 3);
            try (KafkaProducer<String, String> producer = Clients.producer()) {
                for (int partition = 0; partition < 3; partition++) {
                    Clients.send(producer, topic, partition, List.of("late-" + partition));
                }
            }
            Suite.eventually(Duration.ofSeconds(20), "late records arrive at the one that stays", () -> first.records.stream()
                    .filter(record -> record.value().startsWith("late-")).count() == 3);
        }
    }

    /** A member that stops polling and heartbeats is dropped after its session timeout. */
    private static void memberVanishes() throws Exception {
        String topic = Clients.topic("vanishes");
        String[] settings = settings(Suite.unique("vanishes-group"), "session.timeout.ms", "6000", "max.poll.interval.ms", "6000");
        KafkaConsumer<String, String> gone = Clients.consumer(settings);
        gone.subscribe(List.of(topic));
        Suite.eventually(Duration.ofSeconds(20), "the first member is assigned", () -> {
            gone.poll(Duration.ofMillis(100));
            return gone.assignment().size() == 3;
        });
        try (Member stays = new Member(topic, settings)) {
            Suite.eventually(Duration.ofSeconds(30), "the second takes over all partitions", () -> stays.partitions() == 3);
        }
    }

    private static void staticMember() throws Exception {
        String topic = Clients.topic("static");
        String[] settings = settings(Suite.unique("static-group"), "group.instance.id", "instance-1");
        try (Member first = new Member(topic, settings)) {
            Suite.eventually(Duration.ofSeconds(20), "assigned", () -> first.partitions() == 3);
        }
        // Static members do not leave on close, so the same instance comes back at once.
        try (Member again = new Member(topic, settings)) {
            Suite.eventually(Duration.ofSeconds(5), "assigned again", () -> again.partitions() == 3);
        }
    }

    private static void commitMetadata() throws Exception {
        String topic = RecordScenarios.filled("commit", 20);
        TopicPartition target = new TopicPartition(topic, 1);
        String[] settings = settings(Suite.unique("commit-group"));
        try (KafkaConsumer<String, String> consumer = Clients.consumer(settings)) {
            consumer.assign(List.of(target));
            Suite.same(null, consumer.committed(Set.of(target)).get(target), "committed before any commit");
            consumer.commitSync(Map.of(target, new OffsetAndMetadata(7, "a note")));
            Suite.same(new OffsetAndMetadata(7, "a note"), consumer.committed(Set.of(target)).get(target), "committed");
        }
        try (KafkaConsumer<String, String> consumer = Clients.consumer(settings)) {
            consumer.assign(List.of(target));
            Suite.same("p1-7", Clients.read(consumer, 13).get(0).value(), "first value after the committed offset");
        }
    }

    private static void autoCommit() throws Exception {
        String topic = RecordScenarios.filled("auto-commit", 10);
        String[] settings = settings(Suite.unique("auto-commit-group"), "enable.auto.commit", "true");
        try (KafkaConsumer<String, String> consumer = Clients.consumer(settings)) {
            consumer.subscribe(List.of(topic));
            Suite.same(30, Clients.read(consumer, 30).size(), "records");
        }
        try (KafkaConsumer<String, String> consumer = Clients.consumer(settings);
                KafkaProducer<String, String> producer = Clients.producer()) {
            consumer.subscribe(List.of(topic));
            Clients.send(producer, topic, 0, List.of("after"));
            Suite.same(List.of("after"), Clients.values(Clients.read(consumer, 1)), "what was not read before");
        }
    }

    /** Stops the server with SIGTERM and starts it again on the same data. */
    static void restartServer() throws Exception {
        String command = System.getenv("SERVER_RESTART");
        if (command == null || command.isBlank()) {
            throw new Suite.Skip("SERVER_RESTART is not set");
        }
        Process process = new ProcessBuilder("sh", "-c", command)
                .redirectOutput(ProcessBuilder.Redirect.DISCARD).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        Suite.check(process.waitFor(60, TimeUnit.SECONDS), "the restart took over 60 s");
        Suite.same(0, process.exitValue(), "exit code of SERVER_RESTART");
    }

    /** Offsets, records and an open idempotent producer outlive a restart of the server. */
    private static void restart() throws Exception {
        String topic = RecordScenarios.filled("restart", 40);
        String[] settings = settings(Suite.unique("restart-group"));
        Collection<TopicPartition> all = RecordScenarios.partitions(topic, 3);
        try (KafkaProducer<String, String> producer = Clients.producer("delivery.timeout.ms", "60000")) {
            try (KafkaConsumer<String, String> consumer = Clients.consumer(settings)) {
                consumer.subscribe(List.of(topic));
                Clients.read(consumer, 120);
                consumer.commitSync(Map.of(
                        new TopicPartition(topic, 0), new OffsetAndMetadata(10),
                        new TopicPartition(topic, 1), new OffsetAndMetadata(20),
                        new TopicPartition(topic, 2), new OffsetAndMetadata(30)));
                Clients.send(producer, topic, 0, List.of("before"));
            }
            restartServer();
            Suite.same(List.of(41L), Clients.send(producer, topic, 0, List.of("after")), "offset after the restart");
        }
        try (KafkaConsumer<String, String> consumer = Clients.consumer(settings)) {
            Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(new HashSet<>(all));
            Set<String> found = new TreeSet<>();
            committed.forEach((partition, offset) -> found.add(partition.partition() + "@" + (offset == null ? "none" : offset.offset())));
            Suite.same(Set.of("0@10", "1@20", "2@30"), new HashSet<>(found), "committed offsets");
            consumer.subscribe(List.of(topic));
            Suite.same(32 + 20 + 10, Clients.read(consumer, 62).size(), "records after the committed offsets");
        }
        Suite.same("p2-0", Clients.readFrom(topic, 2, 0, 40).get(0).value(), "the first record");
    }
}
