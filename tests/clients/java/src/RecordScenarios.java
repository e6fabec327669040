import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.record.TimestampType;

/** Producing and reading: keys, headers, codecs, idempotence, offsets, timestamps. */
final class RecordScenarios {
    private RecordScenarios() {}

    static void register(Suite suite) {
        suite.scenario("tutorial", RecordScenarios::tutorial);
        suite.scenario("produce-without-keys", RecordScenarios::withoutKeys);
        suite.scenario("produce-with-keys", RecordScenarios::withKeys);
        suite.scenario("headers", RecordScenarios::headers);
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            suite.scenario("codec-" + codec, () -> codec(codec));
        }
        for (String acks : List.of("0", "1", "all")) {
            suite.scenario("acks-" + acks, () -> acks(acks));
        }
        suite.scenario("idempotence", RecordScenarios::idempotence);
        suite.scenario("read-from-beginning", RecordScenarios::fromBeginning);
        suite.scenario("read-from-offset", RecordScenarios::fromOffset);
        suite.scenario("read-from-end", RecordScenarios::fromEnd);
        suite.scenario("read-from-timestamp", RecordScenarios::fromTimestamp);
        suite.scenario("read-committed", RecordScenarios::readCommitted);
        suite.scenario("log-append-time", RecordScenarios::logAppendTime);
        suite.scenario("large-records", RecordScenarios::largeRecords);
        suite.scenario("record-too-large", RecordScenarios::recordTooLarge);
        suite.scenario("topic-made-on-first-use", RecordScenarios::madeOnFirstUse);
    }

    /** As written in the introduction to the client: few settings, defaults for the rest. */
    private static void tutorial() {
        String topic = Suite.unique("tutorial");
        Properties settings = new Properties();
        settings.put("bootstrap.servers", Suite.BOOTSTRAP);
        settings.put("acks", "all");
        settings.put("key.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        settings.put("value.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings)) {
            for (int i = 0; i < 100; i++) {
                producer.send(new ProducerRecord<>(topic, Integer.toString(i), Integer.toString(i)));
            }
        }
        Properties reading = new Properties();
        reading.put("bootstrap.servers", Suite.BOOTSTRAP);
        reading.put("group.id", Suite.unique("tutorial-group"));
        reading.put("enable.auto.commit", "true");
        reading.put("auto.offset.reset", "earliest");
        reading.put("key.deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
        reading.put("value.deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(reading)) {
            consumer.subscribe(Arrays.asList(topic));
            Set<String> found = new HashSet<>(Clients.values(Clients.read(consumer, 100)));
            Suite.same(100, found.size(), "different values");
        }
    }

    private static void withoutKeys() throws Exception {
        String topic = Clients.topic("without-keys");
        try (KafkaProducer<String, String> producer = Clients.producer()) {
            List<Future<RecordMetadata>> pending = new ArrayList<>();
            for (String value : Clients.numbered("v", 300)) {
                pending.add(producer.send(new ProducerRecord<>(topic, value)));
            }
            for (Future<RecordMetadata> one : pending) {
                Suite.check(one.get(30, TimeUnit.SECONDS).hasOffset(), "no offset in the answer");
            }
        }
        List<ConsumerRecord<String, String>> records = readTopic(topic, 300);
        Suite.same(new HashSet<>(Clients.numbered("v", 300)), new HashSet<>(Clients.values(records)), "values");
        Suite.check(records.stream().allMatch(record -> record.key() == null), "a key from nowhere");
    }

    private static void withKeys() throws Exception {
        String topic = Clients.topic("with-keys");
        Map<String, Integer> partitions = new HashMap<>();
        try (KafkaProducer<String, String> producer = Clients.producer()) {
            for (int i = 0; i < 120; i++) {
                String key = "key-" + i % 12;
                Future<RecordMetadata> sent = producer.send(new ProducerRecord<>(topic, key, "v" + i));
                if (i < 12) {
                    partitions.put(key, sent.get(30, TimeUnit.SECONDS).partition());
                }
            }
            producer.send(new ProducerRecord<>(topic, "deleted", null)).get(30, TimeUnit.SECONDS);
        }
        Suite.check(new HashSet<>(partitions.values()).size() > 1, "all keys fell on one partition");
        List<ConsumerRecord<String, String>> records = readTopic(topic, 121);
        for (ConsumerRecord<String, String> record : records) {
            if (record.key().equals("deleted")) {
                Suite.same(null, record.value(), "the value of a tombstone");
            } else {
                Suite.same(partitions.get(record.key()), record.partition(), "partition of " + record.key());
            }
        }
    }

    private static void headers() throws Exception {
        String topic = Clients.topic("headers");
        try (KafkaProducer<String, String> producer = Clients.producer()) {
            ProducerRecord<String, String> record = new ProducerRecord<>(topic, 0, "k", "v");
            record.headers().add("a", Clients.bytes("1")).add("b", null).add("a", new byte[0]).add("ü", Clients.bytes("ß"));
            producer.send(record).get(30, TimeUnit.SECONDS);
        }
        Header[] found = Clients.readFrom(topic, 0, 0, 1).get(0).headers().toArray();
        Suite.same(List.of("a", "b", "a", "ü"), Arrays.stream(found).map(Header::key).toList(), "header names");
        Suite.same("1", new String(found[0].value(), StandardCharsets.UTF_8), "first value");
        Suite.check(found[1].value() == null, "a null value became something");
        Suite.same(0, found[2].value().length, "length of the empty value");
    }

    private static void codec(String codec) throws Exception {
        String topic = Clients.topic("codec-" + codec);
        List<String> values = new ArrayList<>();
        for (int i = 0; i < 1000; i++) {
            values.add("value-" + i + "-" + "abcdefgh".repeat(i % 50));
        }
        try (KafkaProducer<String, String> producer =
                Clients.producer("compression.type", codec, "linger.ms", "20", "batch.size", "65536")) {
            Clients.send(producer, topic, 1, values);
        }
        Suite.same(values, Clients.values(Clients.readFrom(topic, 1, 0, 1000)), "values");
    }

    private static void acks(String acks) throws Exception {
        String topic = Clients.topic("acks-" + acks);
        try (KafkaProducer<String, String> producer =
                Clients.producer("acks", acks, "enable.idempotence", acks.equals("all") ? "true" : "false")) {
            List<Long> offsets = Clients.send(producer, topic, 0, Clients.numbered("v", 50));
            Suite.same(acks.equals("0") ? -1L : 49L, offsets.get(49), "offset of the last record");
        }
        Suite.same(Clients.numbered("v", 50), Clients.values(Clients.readFrom(topic, 0, 0, 50)), "values");
    }

    private static void idempotence() throws Exception {
        String topic = Clients.topic("idempotence");
        String[] settings = {
            "enable.idempotence", "true", "acks", "all", "max.in.flight.requests.per.connection", "5",
            "batch.size", "2048", "linger.ms", "0"
        };
        List<String> values = Clients.numbered("record-number-", 5000);
        try (KafkaProducer<String, String> producer = Clients.producer(settings)) {
            List<Long> offsets = Clients.send(producer, topic, 2, values);
            for (int i = 0; i < offsets.size(); i++) {
                Suite.same((long) i, offsets.get(i), "offset of record " + i);
            }
        }
        Suite.same(values, Clients.values(Clients.readFrom(topic, 2, 0, 5000)), "values in order");
        try (KafkaProducer<String, String> second = Clients.producer(settings)) {
            Suite.same(List.of(5000L), Clients.send(second, topic, 2, List.of("next")), "offset after a new producer");
        }
    }

    private static void fromBeginning() throws Exception {
        String topic = filled("from-beginning", 90);
        try (KafkaConsumer<String, String> consumer = Clients.consumer()) {
            List<TopicPartition> all = partitions(topic, 3);
            consumer.assign(all);
            consumer.seekToBeginning(all);
            List<ConsumerRecord<String, String>> records = Clients.read(consumer, 270);
            Suite.same(270, records.size(), "records");
            for (TopicPartition one : all) {
                List<Long> offsets = records.stream().filter(record -> record.partition() == one.partition())
                        .map(ConsumerRecord::offset).toList();
                for (int i = 0; i < 90; i++) {
                    Suite.same((long) i, offsets.get(i), "offset in " + one);
                }
            }
            Suite.same(Map.of(all.get(0), 0L, all.get(1), 0L, all.get(2), 0L), consumer.beginningOffsets(all), "first offsets");
            Suite.same(Map.of(all.get(0), 90L, all.get(1), 90L, all.get(2), 90L), consumer.endOffsets(all), "end offsets");
        }
    }

    private static void fromOffset() throws Exception {
        String topic = filled("from-offset", 100);
        for (long offset : List.of(0L, 1L, 57L, 99L)) {
            List<ConsumerRecord<String, String>> records = Clients.readFrom(topic, 1, offset, (int) (100 - offset));
            Suite.same(offset, records.get(0).offset(), "first offset");
            Suite.same("p1-" + offset, records.get(0).value(), "first value");
        }
        Suite.same("p1-0", Clients.readFrom(topic, 1, 5000, 100).get(0).value(), "reset to earliest from beyond the end");
    }

    private static void fromEnd() throws Exception {
        String topic = filled("from-end", 10);
        try (KafkaConsumer<String, String> consumer = Clients.consumer();
                KafkaProducer<String, String> producer = Clients.producer()) {
            List<TopicPartition> one = List.of(new TopicPartition(topic, 0));
            consumer.assign(one);
            consumer.seekToEnd(one);
            Suite.same(10L, consumer.position(one.get(0)), "position");
            Suite.check(consumer.poll(Duration.ofMillis(300)).isEmpty(), "old records after seekToEnd");
            Clients.send(producer, topic, 0, List.of("fresh"));
            Suite.same(List.of("fresh"), Clients.values(Clients.read(consumer, 1)), "what came later");
        }
    }

    private static void fromTimestamp() throws Exception {
        String topic = Clients.topic("from-timestamp");
        // Recent: retention takes what is older than a week.
        long first = System.currentTimeMillis() - 100_000;
        try (KafkaProducer<String, String> producer = Clients.producer()) {
            for (int i = 0; i < 20; i++) {
                producer.send(new ProducerRecord<>(topic, 0, first + i * 1000L, null, "v" + i));
            }
            producer.flush();
        }
        TopicPartition target = new TopicPartition(topic, 0);
        try (KafkaConsumer<String, String> consumer = Clients.consumer()) {
            OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(target, first + 7_500)).get(target);
            Suite.same(8L, found.offset(), "offset");
            Suite.same(first + 8_000, found.timestamp(), "timestamp");
            Suite.same(null, consumer.offsetsForTimes(Map.of(target, first + 99_000)).get(target), "after the last");
        }
        ConsumerRecord<String, String> record = Clients.readFrom(topic, 0, 8, 1).get(0);
        Suite.same(TimestampType.CREATE_TIME, record.timestampType(), "timestamp type");
        Suite.same(first + 8_000, record.timestamp(), "timestamp as sent");
    }

    private static void readCommitted() throws Exception {
        String topic = filled("read-committed", 20);
        try (KafkaConsumer<String, String> consumer = Clients.consumer("isolation.level", "read_committed")) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            Suite.same(20, Clients.read(consumer, 20).size(), "records");
        }
    }

    private static void logAppendTime() throws Exception {
        String topic = Clients.topic("log-append-time", 1, Map.of("message.timestamp.type", "LogAppendTime"));
        long before = System.currentTimeMillis();
        try (KafkaProducer<String, String> producer = Clients.producer()) {
            RecordMetadata sent = producer.send(new ProducerRecord<>(topic, 0, 1000L, null, "v")).get(30, TimeUnit.SECONDS);
            Suite.check(Math.abs(sent.timestamp() - before) < 60_000, "timestamp in the answer: " + sent.timestamp());
        }
        ConsumerRecord<String, String> record = Clients.readFrom(topic, 0, 0, 1).get(0);
        Suite.same(TimestampType.LOG_APPEND_TIME, record.timestampType(), "timestamp type");
        Suite.check(Math.abs(record.timestamp() - before) < 60_000, "timestamp of the record: " + record.timestamp());
    }

    private static void largeRecords() throws Exception {
        String topic = Clients.topic("large");
        List<String> values = List.of("x".repeat(900_000), "y".repeat(500_000), "z");
        try (KafkaProducer<String, String> producer = Clients.producer()) {
            Clients.send(producer, topic, 0, values);
        }
        // Smaller than one batch: the first batch must come all the same.
        try (KafkaConsumer<String, String> consumer =
                Clients.consumer("max.partition.fetch.bytes", "1000", "fetch.max.bytes", "1000")) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            Suite.same(values, Clients.values(Clients.read(consumer, 3)), "values");
        }
    }

    private static void recordTooLarge() throws Exception {
        String topic = Clients.topic("too-large", 1, Map.of("max.message.bytes", "10000"));
        try (KafkaProducer<String, String> producer = Clients.producer()) {
            Clients.send(producer, topic, 0, List.of("small"));
            try {
                producer.send(new ProducerRecord<>(topic, 0, null, "x".repeat(50_000))).get(30, TimeUnit.SECONDS);
                throw new AssertionError("a record over max.message.bytes was taken");
            } catch (ExecutionException e) {
                Suite.check(e.getCause() instanceof RecordTooLargeException, "refused with " + e.getCause());
            }
            Suite.same(List.of(1L), Clients.send(producer, topic, 0, List.of("after")), "offset after the refusal");
        }
    }

    private static void madeOnFirstUse() throws Exception {
        String topic = Suite.unique("made-on-first-use");
        try (KafkaProducer<String, String> producer = Clients.producer()) {
            producer.send(new ProducerRecord<>(topic, "hello")).get(30, TimeUnit.SECONDS);
        }
        try (KafkaConsumer<String, String> consumer = Clients.consumer()) {
            List<TopicPartition> all = consumer.partitionsFor(topic).stream()
                    .map(info -> new TopicPartition(topic, info.partition())).toList();
            consumer.assign(all);
            Suite.same(List.of("hello"), Clients.values(Clients.read(consumer, 1)), "values");
        }
    }

    /** A topic with so many records in each of three partitions. */
    static String filled(String name, int perPartition) throws Exception {
        String topic = Clients.topic(name);
        try (KafkaProducer<String, String> producer = Clients.producer()) {
            for (int partition = 0; partition < 3; partition++) {
                Clients.send(producer, topic, partition, Clients.numbered("p" + partition + "-", perPartition));
            }
        }
        return topic;
    }

    static List<TopicPartition> partitions(String topic, int count) {
        List<TopicPartition> all = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            all.add(new TopicPartition(topic, i));
        }
        return all;
    }

    private static List<ConsumerRecord<String, String>> readTopic(String topic, int count) {
        try (KafkaConsumer<String, String> consumer = Clients.consumer()) {
            consumer.assign(partitions(topic, 3));
            return Clients.read(consumer, count);
        }
    }
}
