import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsOptions;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.TimeoutException;

/** Offsets that are committed in transactions, for groups of both protocols. */
final class TransactionOffsetScenarios {
    private TransactionOffsetScenarios() {}

    static void register(Suite suite) {
        Duration limit = Duration.ofSeconds(90);
        for (String protocol : List.of("classic", "consumer")) {
            suite.scenario("transaction-offsets-" + protocol, limit, () -> offsets(protocol));
            suite.scenario("transaction-offsets-of-a-former-member-" + protocol, limit, () -> formerMember(protocol));
            suite.scenario("transaction-pipeline-" + protocol, Duration.ofSeconds(120), () -> pipeline(protocol));
        }
        suite.scenario("transaction-offsets-without-members", limit, TransactionOffsetScenarios::withoutMembers);
    }

    private static String[] settings(String group, String protocol, String... more) {
        List<String> all = new ArrayList<>(List.of("group.id", group, "group.protocol", protocol, "isolation.level", "read_committed"));
        if (protocol.equals("classic")) {
            all.addAll(List.of("heartbeat.interval.ms", "500", "session.timeout.ms", "10000"));
        }
        all.addAll(List.of(more));
        return all.toArray(new String[0]);
    }

    /** What the group has committed, by partition; without those that are not `stable`. */
    private static Map<Integer, Long> committed(String group, boolean stable) throws Exception {
        try (Admin admin = Clients.admin()) {
            Map<String, ListConsumerGroupOffsetsSpec> asked = Map.of(group, new ListConsumerGroupOffsetsSpec());
            ListConsumerGroupOffsetsOptions options = new ListConsumerGroupOffsetsOptions().requireStable(stable).timeoutMs(3000);
            Map<Integer, Long> found = new TreeMap<>();
            admin.listConsumerGroupOffsets(asked, options).partitionsToOffsetAndMetadata(group).get(20, TimeUnit.SECONDS)
                    .forEach((partition, offset) -> found.put(partition.partition(), offset.offset()));
            return found;
        }
    }

    /** A consumer asks for an offset that is part of an open transaction until it has no time left. */
    private static void notStable(String topic, String group) {
        try (KafkaConsumer<String, String> asking = Clients.consumer("group.id", group, "default.api.timeout.ms", "1200",
                "request.timeout.ms", "1000", "isolation.level", "read_committed")) {
            Throwable error = TransactionScenarios.failure(() -> asking.committed(Set.of(new TopicPartition(topic, 0))));
            Suite.check(error instanceof TimeoutException, "a question for stable offsets ends with " + error);
        }
    }

    private static Map<TopicPartition, OffsetAndMetadata> at(String topic, int partition, long offset) {
        return Map.of(new TopicPartition(topic, partition), new OffsetAndMetadata(offset, "of a transaction"));
    }

    private static void offsets(String protocol) throws Exception {
        String topic = RecordScenarios.filled("transaction-offsets-" + protocol, 10);
        String group = topic + "-group";
        try (KafkaProducer<String, String> producer = TransactionScenarios.transactional(topic)) {
            try (KafkaConsumer<String, String> consumer = Clients.consumer(settings(group, protocol))) {
                consumer.subscribe(List.of(topic));
                Clients.read(consumer, 30);
                producer.beginTransaction();
                Clients.send(producer, topic, 2, List.of("result"));
                producer.sendOffsetsToTransaction(at(topic, 0, 7), consumer.groupMetadata());
                Suite.same(Map.of(), committed(group, false), "committed while the transaction is open");
                notStable(topic, group);
                producer.commitTransaction();
                Suite.shows(Map.of(0, 7L), () -> committed(group, true), "committed after the commit");
                producer.beginTransaction();
                producer.sendOffsetsToTransaction(at(topic, 0, 9), consumer.groupMetadata());
                producer.sendOffsetsToTransaction(at(topic, 1, 4), consumer.groupMetadata());
                producer.abortTransaction();
                Suite.shows(Map.of(0, 7L), () -> committed(group, true), "committed after the abort");
                producer.beginTransaction();
                producer.sendOffsetsToTransaction(at(topic, 0, 8), consumer.groupMetadata());
                producer.sendOffsetsToTransaction(at(topic, 0, 10), consumer.groupMetadata());
                producer.sendOffsetsToTransaction(at(topic, 1, 5), consumer.groupMetadata());
                producer.commitTransaction();
                Suite.shows(Map.of(0, 10L, 1, 5L), () -> committed(group, true), "committed by offsets alone");
            }
            try (KafkaConsumer<String, String> consumer = Clients.consumer(settings(group, protocol))) {
                consumer.subscribe(List.of(topic));
                List<String> values = Clients.values(Clients.read(consumer, 16)).stream().sorted().toList();
                Suite.check(values.contains("p1-5") && !values.contains("p1-4") && values.contains("result"), "read from there: " + values);
                consumer.commitSync(Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(3)));
                Suite.shows(3L, () -> committed(group, true).get(0), "a plain commit after those of transactions");
            }
        }
    }

    /** Who is not a member any more commits nothing, though its producer is in order. */
    private static void formerMember(String protocol) throws Exception {
        String topic = RecordScenarios.filled("transaction-former-" + protocol, 10);
        String group = topic + "-group";
        try (KafkaProducer<String, String> producer = TransactionScenarios.transactional(topic)) {
            ConsumerGroupMetadata former;
            try (KafkaConsumer<String, String> consumer = Clients.consumer(settings(group, protocol))) {
                consumer.subscribe(List.of(topic));
                Clients.read(consumer, 30);
                former = consumer.groupMetadata();
                producer.beginTransaction();
                producer.sendOffsetsToTransaction(at(topic, 0, 7), former);
                producer.commitTransaction();
            }
            try (KafkaConsumer<String, String> consumer = Clients.consumer(settings(group, protocol))) {
                consumer.subscribe(List.of(topic));
                Clients.read(consumer, 23);
                producer.beginTransaction();
                Clients.send(producer, topic, 0, List.of("of a former member"));
                Throwable error = TransactionScenarios.failure(() -> {
                    producer.sendOffsetsToTransaction(at(topic, 0, 9), former);
                    producer.commitTransaction();
                    return null;
                });
                boolean refused = error instanceof CommitFailedException || error.getCause() instanceof CommitFailedException;
                Suite.check(refused, "offsets of a former member end with " + error);
                producer.abortTransaction();
                Suite.shows(Map.of(0, 7L), () -> committed(group, true), "committed");
                producer.beginTransaction();
                producer.sendOffsetsToTransaction(at(topic, 0, 10), consumer.groupMetadata());
                producer.commitTransaction();
                Suite.shows(Map.of(0, 10L), () -> committed(group, true), "committed by a member");
            }
        }
        List<TopicPartition> all = RecordScenarios.partitions(topic, 3);
        Suite.shows(30, () -> TransactionScenarios.values("read_committed", all).size(), "records that count");
    }

    private static void withoutMembers() throws Exception {
        String topic = RecordScenarios.filled("transaction-no-members", 3);
        String group = topic + "-group";
        try (KafkaProducer<String, String> producer = TransactionScenarios.transactional(topic)) {
            for (long offset = 1; offset <= 3; offset++) {
                producer.beginTransaction();
                producer.sendOffsetsToTransaction(at(topic, 1, offset), new ConsumerGroupMetadata(group));
                producer.commitTransaction();
                Suite.shows(Map.of(1, offset), () -> committed(group, true), "committed");
            }
        }
    }

    /** Reads, and writes what it read with the offsets in one transaction, until it is told to end. */
    private static final class Copier implements AutoCloseable {
        final AtomicBoolean leaving = new AtomicBoolean();
        volatile Throwable error;
        private final Thread thread;

        Copier(String id, String from, String to, String[] settings) {
            thread = new Thread(() -> {
                try {
                    run(id, from, to, settings);
                } catch (Throwable e) {
                    error = e;
                }
            });
            thread.setDaemon(true);
            thread.start();
        }

        private void run(String id, String from, String to, String[] settings) {
            try (KafkaProducer<String, String> producer = TransactionScenarios.transactional(id, "transaction.timeout.ms", "10000");
                    KafkaConsumer<String, String> consumer = Clients.consumer(settings)) {
                consumer.subscribe(List.of(from));
                while (!leaving.get()) {
                    ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(100));
                    if (!records.isEmpty()) {
                        copy(producer, consumer, to, records);
                    }
                }
            }
        }

        private static void copy(KafkaProducer<String, String> producer, KafkaConsumer<String, String> consumer, String to,
                ConsumerRecords<String, String> records) {
            try {
                producer.beginTransaction();
                Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
                for (ConsumerRecord<String, String> record : records) {
                    producer.send(new ProducerRecord<>(to, record.partition(), null, record.value()));
                    next.put(new TopicPartition(record.topic(), record.partition()), new OffsetAndMetadata(record.offset() + 1));
                }
                producer.sendOffsetsToTransaction(next, consumer.groupMetadata());
                producer.commitTransaction();
            } catch (KafkaException e) {
                producer.abortTransaction();
                goBack(consumer);
            }
        }

        /** What was read in an aborted transaction is read again, by whoever owns it. */
        private static void goBack(KafkaConsumer<String, String> consumer) {
            Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(consumer.assignment());
            for (TopicPartition partition : consumer.assignment()) {
                OffsetAndMetadata offset = committed.get(partition);
                consumer.seek(partition, offset == null ? 0 : offset.offset());
            }
        }

        @Override
        public void close() throws InterruptedException {
            leaving.set(true);
            thread.join(30_000);
            Suite.check(error == null, "a copier ended: " + error);
            Suite.check(!thread.isAlive(), "a copier did not end within 30 s");
        }
    }

    /** Records are copied from topic to topic while members of the group come and go: each arrives once. */
    private static void pipeline(String protocol) throws Exception {
        String from = Clients.topic("transaction-pipeline-" + protocol);
        String to = Clients.topic("transaction-pipeline-" + protocol + "-copy");
        String[] settings = settings(from + "-group", protocol, "max.poll.records", "40");
        List<TopicPartition> copies = RecordScenarios.partitions(to, 3);
        int each = 600;
        try (KafkaProducer<String, String> producer = Clients.producer("linger.ms", "0");
                Copier stays = new Copier(from + "-0", from, to, settings)) {
            for (int change = 1; change <= 3; change++) {
                int before = TransactionScenarios.values("read_committed", copies).size();
                try (Copier comes = new Copier(from + "-" + change, from, to, settings)) {
                    for (int partition = 0; partition < 3; partition++) {
                        Clients.send(producer, from, partition, Clients.numbered(change + "-" + partition + "-", each));
                    }
                    int enough = before + each;
                    Suite.eventually(Duration.ofSeconds(30), "records are copied", () -> {
                        Suite.check(stays.error == null && comes.error == null, "a copier ended: " + stays.error + ", " + comes.error);
                        return TransactionScenarios.values("read_committed", copies).size() >= enough;
                    });
                }
            }
            Suite.eventually(Duration.ofSeconds(30), "all records are copied",
                    () -> TransactionScenarios.values("read_committed", copies).size() >= 9 * each);
        }
        for (int partition = 0; partition < 3; partition++) {
            List<String> expected = new ArrayList<>();
            for (int change = 1; change <= 3; change++) {
                expected.addAll(Clients.numbered(change + "-" + partition + "-", each));
            }
            List<TopicPartition> one = List.of(new TopicPartition(to, partition));
            Suite.shows(expected, () -> TransactionScenarios.values("read_committed", one), "copies in partition " + partition);
        }
        Map<Integer, Long> ends = Map.of(0, 3L * each, 1, 3L * each, 2, 3L * each);
        Suite.shows(ends, () -> committed(from + "-group", true), "committed in the end");
    }
}
