import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.LongStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.InvalidTxnStateException;
import org.apache.kafka.common.errors.ProducerFencedException;

/** Transactional producers, and consumers at both isolation levels. */
final class TransactionScenarios {
    static final String COMMITTED = "read_committed";
    static final String UNCOMMITTED = "read_uncommitted";

    private TransactionScenarios() {}

    static void register(Suite suite) {
        suite.scenario("transaction-commit", TransactionScenarios::commit);
        suite.scenario("transaction-abort", TransactionScenarios::abort);
        suite.scenario("transaction-empty", TransactionScenarios::empty);
        suite.scenario("transaction-last-stable-offset", TransactionScenarios::lastStableOffset);
        suite.scenario("transaction-read-from-the-middle", TransactionScenarios::readFromTheMiddle);
        suite.scenario("transaction-fencing", TransactionScenarios::fencing);
        suite.scenario("transaction-fencing-of-sends", TransactionScenarios::fencingOfSends);
        suite.scenario("transaction-left-open", TransactionScenarios::leftOpen);
        suite.scenario("transaction-timeout", TransactionScenarios::timeout);
        suite.scenario("transaction-timeout-too-long", TransactionScenarios::timeoutTooLong);
        suite.scenario("transaction-epochs", Duration.ofSeconds(90), TransactionScenarios::epochs);
        suite.scenario("transaction-many-producers", Duration.ofSeconds(90), TransactionScenarios::manyProducers);
        suite.scenario("transaction-large", TransactionScenarios::large);
        suite.scenario("transaction-compacted", Duration.ofSeconds(120), TransactionScenarios::compacted);
        suite.scenario("transaction-over-restart", Duration.ofSeconds(120), TransactionScenarios::overRestart);
    }

    /** A producer with a transactional id, ready to begin. */
    static KafkaProducer<String, String> transactional(String id, String... more) {
        List<String> settings = new ArrayList<>(List.of("transactional.id", id));
        settings.addAll(List.of(more));
        KafkaProducer<String, String> producer = Clients.producer(settings.toArray(new String[0]));
        producer.initTransactions();
        return producer;
    }

    /** Where partitions end for this isolation level: the last stable offsets, or the high watermarks. */
    static Map<TopicPartition, Long> ends(String isolation, List<TopicPartition> partitions) {
        try (KafkaConsumer<String, String> consumer = Clients.consumer("isolation.level", isolation)) {
            return consumer.endOffsets(partitions);
        }
    }

    /** Everything that a consumer of this isolation level reads, from the start up to the end that it is told. */
    static List<ConsumerRecord<String, String>> everything(String isolation, List<TopicPartition> partitions) {
        try (KafkaConsumer<String, String> consumer = Clients.consumer("isolation.level", isolation)) {
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            List<ConsumerRecord<String, String>> records = new ArrayList<>();
            long deadline = System.nanoTime() + Duration.ofSeconds(30).toNanos();
            while (partitions.stream().anyMatch(partition -> consumer.position(partition) < ends.get(partition))) {
                consumer.poll(Duration.ofMillis(100)).forEach(records::add);
                Suite.check(System.nanoTime() < deadline, "the end " + ends + " is not reached after " + records.size() + " records");
            }
            return records;
        }
    }

    static List<String> values(String isolation, List<TopicPartition> partitions) {
        return Clients.values(everything(isolation, partitions));
    }

    private static void commit() throws Exception {
        String topic = Clients.topic("transaction-commit");
        List<TopicPartition> all = RecordScenarios.partitions(topic, 3);
        try (KafkaProducer<String, String> producer = transactional(topic)) {
            producer.beginTransaction();
            for (int partition = 0; partition < 3; partition++) {
                Suite.same(List.of(0L, 1L), Clients.send(producer, topic, partition, List.of("a", "b")), "offsets of the first");
            }
            Suite.shows(List.of(), () -> values(COMMITTED, all), "committed before the commit");
            Suite.same(6, values(UNCOMMITTED, all).size(), "records before the commit");
            producer.commitTransaction();
            Suite.shows(6, () -> values(COMMITTED, all).size(), "committed at once after the commit");
            producer.beginTransaction();
            // The marker of the first has taken an offset.
            Suite.same(List.of(3L), Clients.send(producer, topic, 1, List.of("c")), "offset behind the marker");
            producer.commitTransaction();
        }
        Suite.shows(List.of("a", "b", "c"), () -> values(COMMITTED, List.of(all.get(1))), "committed");
        Suite.same(List.of("a", "b", "c"), values(UNCOMMITTED, List.of(all.get(1))), "all, without markers");
        Suite.shows(Map.of(all.get(0), 3L, all.get(1), 5L, all.get(2), 3L), () -> ends(COMMITTED, all), "ends behind the markers");
    }

    private static void abort() throws Exception {
        String topic = Clients.topic("transaction-abort", 1, Map.of());
        List<TopicPartition> all = RecordScenarios.partitions(topic, 1);
        try (KafkaProducer<String, String> producer = transactional(topic)) {
            producer.beginTransaction();
            Clients.send(producer, topic, 0, List.of("one", "two"));
            producer.commitTransaction();
            producer.beginTransaction();
            Clients.send(producer, topic, 0, List.of("aborted"));
            producer.abortTransaction();
            Suite.shows(List.of("one", "two"), () -> values(COMMITTED, all), "committed after the abort");
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(topic, 0, null, "aborted before it was sent"));
            producer.abortTransaction();
            producer.beginTransaction();
            Clients.send(producer, topic, 0, List.of("three"));
            producer.commitTransaction();
        }
        Suite.shows(List.of("one", "two", "three"), () -> values(COMMITTED, all), "committed");
        List<String> everything = new ArrayList<>(values(UNCOMMITTED, all));
        everything.remove("aborted before it was sent");
        Suite.same(List.of("one", "two", "aborted", "three"), everything, "everything");
    }

    private static void empty() throws Exception {
        String topic = Clients.topic("transaction-empty", 1, Map.of());
        List<TopicPartition> all = RecordScenarios.partitions(topic, 1);
        try (KafkaProducer<String, String> producer = transactional(topic)) {
            for (int i = 0; i < 3; i++) {
                producer.beginTransaction();
                producer.abortTransaction();
                producer.beginTransaction();
                producer.commitTransaction();
            }
            Suite.same(Map.of(all.get(0), 0L), ends(UNCOMMITTED, all), "nothing was written");
            producer.beginTransaction();
            Clients.send(producer, topic, 0, List.of("x"));
            producer.commitTransaction();
            producer.beginTransaction();
            producer.abortTransaction();
        }
        Suite.shows(List.of("x"), () -> values(COMMITTED, all), "committed");
        Suite.shows(Map.of(all.get(0), 2L), () -> ends(COMMITTED, all), "one record and one marker");
    }

    /** What others write behind the first record of an open transaction waits for its end. */
    private static void lastStableOffset() throws Exception {
        String topic = Clients.topic("transaction-stable", 1, Map.of());
        List<TopicPartition> all = RecordScenarios.partitions(topic, 1);
        try (KafkaProducer<String, String> first = transactional(topic + "-1");
                KafkaProducer<String, String> second = transactional(topic + "-2");
                KafkaProducer<String, String> plain = Clients.producer()) {
            Clients.send(plain, topic, 0, List.of("plain-1"));
            first.beginTransaction();
            Clients.send(first, topic, 0, List.of("first"));
            Clients.send(plain, topic, 0, List.of("plain-2"));
            second.beginTransaction();
            Clients.send(second, topic, 0, List.of("second"));
            second.commitTransaction();
            Suite.shows(Map.of(all.get(0), 1L), () -> ends(COMMITTED, all), "the last stable offset");
            Suite.same(Map.of(all.get(0), 5L), ends(UNCOMMITTED, all), "the high watermark");
            Suite.shows(List.of("plain-1"), () -> values(COMMITTED, all), "before the open transaction");
            Suite.same(List.of("plain-1", "first", "plain-2", "second"), values(UNCOMMITTED, all), "everything");
            first.abortTransaction();
            Suite.shows(List.of("plain-1", "plain-2", "second"), () -> values(COMMITTED, all), "after the abort");
            Suite.shows(Map.of(all.get(0), 6L), () -> ends(COMMITTED, all), "the last stable offset in the end");
        }
    }

    /** A reader that begins inside of aborted transactions is told of them, whichever began before. */
    private static void readFromTheMiddle() throws Exception {
        String topic = Clients.topic("transaction-middle", 1, Map.of());
        TopicPartition only = new TopicPartition(topic, 0);
        List<String> committed = new ArrayList<>();
        List<Long> offsets = new ArrayList<>();
        try (KafkaProducer<String, String> one = transactional(topic + "-1");
                KafkaProducer<String, String> other = transactional(topic + "-2")) {
            for (int round = 0; round < 6; round++) {
                one.beginTransaction();
                other.beginTransaction();
                for (int i = 0; i < 5; i++) {
                    Clients.send(one, topic, 0, List.of("aborted " + round + " " + i));
                    committed.add("committed " + round + " " + i);
                    offsets.addAll(Clients.send(other, topic, 0, List.of("committed " + round + " " + i)));
                }
                other.commitTransaction();
                one.abortTransaction();
            }
        }
        try (KafkaConsumer<String, String> consumer = Clients.consumer("isolation.level", COMMITTED)) {
            consumer.assign(List.of(only));
            for (int skipped = 0; skipped < offsets.size(); skipped += 7) {
                consumer.seek(only, offsets.get(skipped));
                List<String> expected = committed.subList(skipped, committed.size());
                Suite.same(expected, Clients.values(Clients.read(consumer, expected.size())), "from offset " + offsets.get(skipped));
            }
        }
    }

    /** The error that a call ends with. */
    static Throwable failure(Callable<?> call) {
        try {
            call.call();
        } catch (ExecutionException e) {
            return e.getCause();
        } catch (Exception e) {
            return e;
        }
        throw new AssertionError("it succeeded");
    }

    private static void fenced(String what, Callable<?> call) {
        Throwable error = failure(call);
        Suite.check(error instanceof ProducerFencedException, what + " ends with " + error);
    }

    private static void fencing() throws Exception {
        String topic = Clients.topic("transaction-fencing", 1, Map.of());
        List<TopicPartition> all = RecordScenarios.partitions(topic, 1);
        try (KafkaProducer<String, String> old = transactional(topic)) {
            old.beginTransaction();
            Clients.send(old, topic, 0, List.of("old"));
            try (KafkaProducer<String, String> young = transactional(topic)) {
                Suite.shows(List.of(), () -> values(COMMITTED, all), "what the old one had under way");
                young.beginTransaction();
                Clients.send(young, topic, 0, List.of("young"));
                fenced("a commit of the old one", () -> {
                    old.commitTransaction();
                    return null;
                });
                young.commitTransaction();
            }
        }
        Suite.shows(List.of("young"), () -> values(COMMITTED, all), "committed");
    }

    private static void fencingOfSends() throws Exception {
        String topic = Clients.topic("transaction-fenced-sends", 1, Map.of());
        List<TopicPartition> all = RecordScenarios.partitions(topic, 1);
        try (KafkaProducer<String, String> old = transactional(topic)) {
            old.beginTransaction();
            Clients.send(old, topic, 0, List.of("old"));
            old.commitTransaction();
            old.beginTransaction();
            try (KafkaProducer<String, String> young = transactional(topic)) {
                Throwable error = failure(() -> Clients.send(old, topic, 0, List.of("late")));
                boolean refused = error instanceof ProducerFencedException || error instanceof InvalidProducerEpochException;
                Suite.check(refused, "a late send ends with " + error);
                young.beginTransaction();
                Clients.send(young, topic, 0, List.of("young"));
                young.commitTransaction();
            }
            fenced("an abort of the old one", () -> {
                old.abortTransaction();
                old.beginTransaction();
                old.commitTransaction();
                return null;
            });
        }
        Suite.same(List.of("old", "young"), values(UNCOMMITTED, all), "everything that was let in");
    }

    /** A producer that ends without a word is followed by one with its id, which aborts what it left. */
    private static void leftOpen() throws Exception {
        String topic = Clients.topic("transaction-left", 1, Map.of());
        List<TopicPartition> all = RecordScenarios.partitions(topic, 1);
        for (int life = 0; life < 4; life++) {
            KafkaProducer<String, String> producer = transactional(topic);
            producer.beginTransaction();
            Clients.send(producer, topic, 0, List.of("committed " + life));
            producer.commitTransaction();
            producer.beginTransaction();
            Clients.send(producer, topic, 0, List.of("left " + life));
            producer.close(Duration.ZERO);
        }
        transactional(topic).close();
        Suite.shows(List.of("committed 0", "committed 1", "committed 2", "committed 3"), () -> values(COMMITTED, all), "committed");
        Suite.shows(ends(UNCOMMITTED, all), () -> ends(COMMITTED, all), "nothing is open any more");
    }

    private static void timeout() throws Exception {
        String topic = Clients.topic("transaction-timeout", 1, Map.of());
        List<TopicPartition> all = RecordScenarios.partitions(topic, 1);
        try (KafkaProducer<String, String> slow = transactional(topic, "transaction.timeout.ms", "2000");
                KafkaProducer<String, String> plain = Clients.producer()) {
            slow.beginTransaction();
            Clients.send(slow, topic, 0, List.of("slow"));
            Clients.send(plain, topic, 0, List.of("plain"));
            Suite.same(List.of(), values(COMMITTED, all), "while it is open");
            Suite.eventually(Duration.ofSeconds(25), "the transaction is aborted", () -> values(COMMITTED, all).equals(List.of("plain")));
            Throwable error = failure(() -> {
                slow.commitTransaction();
                return null;
            });
            // Apache Kafka takes it for a repeated end of the transaction that it aborted, which was no commit.
            boolean refused = error instanceof ProducerFencedException || error instanceof InvalidProducerEpochException
                    || error instanceof InvalidTxnStateException;
            Suite.check(refused, "a commit that is too late ends with " + error);
        }
        try (KafkaProducer<String, String> next = transactional(topic, "transaction.timeout.ms", "2000")) {
            next.beginTransaction();
            Clients.send(next, topic, 0, List.of("next"));
            next.commitTransaction();
        }
        Suite.shows(List.of("plain", "next"), () -> values(COMMITTED, all), "committed");
    }

    private static void timeoutTooLong() {
        Throwable error = failure(() -> transactional(Suite.unique("too-long"), "transaction.timeout.ms", "1000000000"));
        Suite.check(error.getMessage().contains("transaction timeout is larger than the maximum"), "it ends with " + error);
    }

    static TransactionDescription described(String id) throws Exception {
        try (Admin admin = Clients.admin()) {
            return admin.describeTransactions(List.of(id)).description(id).get(20, TimeUnit.SECONDS);
        }
    }

    /** Each transaction has an epoch of its own (KIP-890), and sequences begin anew with it. */
    private static void epochs() throws Exception {
        String topic = Clients.topic("transaction-epochs");
        List<TopicPartition> all = RecordScenarios.partitions(topic, 3);
        int count = 120;
        try (KafkaProducer<String, String> producer = transactional(topic)) {
            int before = described(topic).producerEpoch();
            for (int number = 0; number < count; number++) {
                producer.beginTransaction();
                for (int partition = 0; partition < 3; partition++) {
                    producer.send(new ProducerRecord<>(topic, partition, null, "" + number));
                }
                if (number % 3 == 1) {
                    producer.abortTransaction();
                } else {
                    producer.commitTransaction();
                }
            }
            Suite.same(before + count, described(topic).producerEpoch(), "the epoch after " + count + " transactions");
        }
        for (TopicPartition partition : all) {
            List<String> expected = Clients.numbered("", count).stream().filter(number -> Integer.parseInt(number) % 3 != 1).toList();
            Suite.shows(expected, () -> values(COMMITTED, List.of(partition)), "committed in " + partition);
        }
    }

    /** Producers at a time on the same partitions: what each committed is there, once and in its order, and nothing else. */
    private static void manyProducers() throws Exception {
        String topic = Clients.topic("transaction-many");
        List<TopicPartition> all = RecordScenarios.partitions(topic, 3);
        int producers = 6;
        int rounds = 25;
        ExecutorService threads = Executors.newFixedThreadPool(producers);
        List<Future<?>> working = new ArrayList<>();
        for (int each = 0; each < producers; each++) {
            String name = "p" + each;
            working.add(threads.submit(() -> {
                try (KafkaProducer<String, String> producer = transactional(topic + name)) {
                    for (int round = 0; round < rounds; round++) {
                        producer.beginTransaction();
                        for (int i = 0; i < 9; i++) {
                            producer.send(new ProducerRecord<>(topic, i % 3, name, (round % 4 == 3 ? "aborted " : "") + round));
                        }
                        if (round % 4 == 3) {
                            producer.abortTransaction();
                        } else {
                            producer.commitTransaction();
                        }
                    }
                }
                return null;
            }));
        }
        for (Future<?> one : working) {
            one.get(80, TimeUnit.SECONDS);
        }
        threads.shutdown();
        Map<String, List<String>> found = new HashMap<>();
        for (ConsumerRecord<String, String> record : everything(COMMITTED, all)) {
            found.computeIfAbsent(record.key() + " in " + record.partition(), key -> new ArrayList<>()).add(record.value());
        }
        List<String> expected = new ArrayList<>();
        for (int round = 0; round < rounds; round++) {
            for (int i = 0; i < 3 && round % 4 != 3; i++) {
                expected.add("" + round);
            }
        }
        Suite.same(3 * producers, found.size(), "producers and partitions");
        found.forEach((what, values) -> Suite.same(expected, values, "committed by " + what));
    }

    /**
     * What the compactor merged, or compacted by key, reads as before: records, offsets and ends. What was aborted is gone for both
     * isolation levels, by which one sees that files are read.
     */
    private static void compacted() throws Exception {
        String command = System.getenv("SERVER_COMPACT");
        if (command == null || command.isBlank()) {
            throw new Suite.Skip("SERVER_COMPACT is not set");
        }
        for (String policy : List.of("delete", "compact")) {
            String topic = Clients.topic("transaction-" + policy, 1, Map.of("cleanup.policy", policy));
            List<TopicPartition> all = RecordScenarios.partitions(topic, 1);
            try (KafkaProducer<String, String> producer = transactional(topic)) {
                // The newest file is never compacted by key, so there are two.
                for (int number = 0; number < 5; number++) {
                    producer.beginTransaction();
                    // Keys 0 to 9, 1 to 10 and so on.
                    for (int key = number; key < number + 10; key++) {
                        producer.send(new ProducerRecord<>(topic, 0, "" + key, key + " of " + number));
                    }
                    if (number % 2 == 0) {
                        producer.commitTransaction();
                    } else {
                        producer.flush();
                        producer.abortTransaction();
                    }
                    if (number == 3) {
                        compact(command, topic);
                    }
                }
            }
            List<ConsumerRecord<String, String>> before = everything(COMMITTED, all);
            List<Long> places = LongStream.range(0, 55).filter(offset -> offset / 11 % 2 == 0 && offset % 11 < 10).boxed().toList();
            if (policy.equals("delete")) {
                Suite.same(places, before.stream().map(ConsumerRecord::offset).toList(), "offsets before");
            }
            compact(command, topic);
            // In the first file each key has one record left, its last: 0 and 1 of the first transaction.
            List<Long> left = places.stream().filter(offset -> policy.equals("delete") || offset < 2 || offset > 10).toList();
            List<ConsumerRecord<String, String>> kept = before.stream().filter(record -> left.contains(record.offset())).toList();
            Suite.same(left, kept.stream().map(ConsumerRecord::offset).toList(), "offsets of what stays");
            List<String> expected = kept.stream().map(TransactionScenarios::whole).toList();
            Suite.eventually(Duration.ofSeconds(30), "the node reads what was merged", () -> wholes(UNCOMMITTED, all).equals(expected));
            Suite.same(expected, wholes(COMMITTED, all), "committed records");
            Map<TopicPartition, Long> end = Map.of(all.get(0), 55L);
            Suite.same(List.of(end, end), List.of(ends(COMMITTED, all), ends(UNCOMMITTED, all)), "ends");
            try (KafkaProducer<String, String> producer = transactional(topic)) {
                producer.beginTransaction();
                long offset = producer.send(new ProducerRecord<>(topic, 0, "0", "after")).get(30, TimeUnit.SECONDS).offset();
                Suite.same(55L, offset, "offset behind what was merged");
                producer.commitTransaction();
            }
            List<ConsumerRecord<String, String>> after = everything(COMMITTED, all);
            Suite.same(expected, after.stream().limit(expected.size()).map(TransactionScenarios::whole).toList(), "records before the last");
            Suite.same(List.of("after"), Clients.values(after.subList(expected.size(), after.size())), "the last");
        }
    }

    /** Has everything of the topic merged that can be. */
    private static void compact(String command, String topic) throws Exception {
        Process process = new ProcessBuilder("sh", "-c", command + " '" + topic + "'")
                .redirectOutput(ProcessBuilder.Redirect.DISCARD).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        Suite.check(process.waitFor(60, TimeUnit.SECONDS), "the compaction took over 60 s");
        Suite.same(0, process.exitValue(), "exit code of SERVER_COMPACT");
    }

    private static List<String> wholes(String isolation, List<TopicPartition> partitions) {
        return everything(isolation, partitions).stream().map(TransactionScenarios::whole).toList();
    }

    private static String whole(ConsumerRecord<String, String> record) {
        return record.partition() + "/" + record.offset() + " " + record.timestamp() + " " + record.key() + "=" + record.value();
    }

    private static void large() throws Exception {
        String topic = Clients.topic("transaction-large");
        List<TopicPartition> all = RecordScenarios.partitions(topic, 3);
        String filling = "x".repeat(300);
        try (KafkaProducer<String, String> producer = transactional(topic)) {
            for (String outcome : List.of("committed", "aborted", "committed")) {
                producer.beginTransaction();
                for (int i = 0; i < 15_000; i++) {
                    producer.send(new ProducerRecord<>(topic, i % 3, outcome, i + filling));
                }
                if (outcome.equals("committed")) {
                    producer.commitTransaction();
                } else {
                    producer.flush();
                    producer.abortTransaction();
                }
            }
        }
        Suite.same(45_000, everything(UNCOMMITTED, all).size(), "records in all");
        for (TopicPartition partition : all) {
            List<ConsumerRecord<String, String>> records = everything(COMMITTED, List.of(partition));
            Suite.same(10_000, records.size(), "records committed in " + partition);
            for (int i = 0; i < records.size(); i++) {
                Suite.same("committed", records.get(i).key(), "record " + i + " of " + partition);
                int number = i % 5_000 * 3 + partition.partition();
                Suite.check(records.get(i).value().equals(number + filling), "record " + i + " of " + partition + " is another");
            }
        }
    }

    /** Transactions that are open while the server restarts go on, and end as their producers say. */
    private static void overRestart() throws Exception {
        String topic = Clients.topic("transaction-restart", 2, Map.of());
        List<TopicPartition> all = RecordScenarios.partitions(topic, 2);
        try (KafkaProducer<String, String> committing = transactional(topic + "-1", "delivery.timeout.ms", "90000", "max.block.ms", "60000");
                KafkaProducer<String, String> aborting = transactional(topic + "-2", "delivery.timeout.ms", "90000", "max.block.ms", "60000")) {
            committing.beginTransaction();
            aborting.beginTransaction();
            Clients.send(committing, topic, 0, List.of("before"));
            Clients.send(aborting, topic, 0, List.of("aborted"));
            GroupScenarios.restartServer();
            Suite.same(List.of(), values(COMMITTED, all), "committed while both are open");
            Clients.send(committing, topic, 0, List.of("after"));
            Clients.send(committing, topic, 1, List.of("elsewhere"));
            committing.commitTransaction();
            Suite.shows(List.of("elsewhere"), () -> values(COMMITTED, List.of(all.get(1))), "committed where the other has written nothing");
            aborting.abortTransaction();
        }
        Suite.shows(List.of("before", "after"), () -> values(COMMITTED, List.of(all.get(0))), "committed");
    }
}
