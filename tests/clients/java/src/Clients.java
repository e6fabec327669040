import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Stock clients with every timeout short enough for a scenario to fail by its own deadline. */
final class Clients {
    private Clients() {}

    static Admin admin() {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", Suite.BOOTSTRAP);
        settings.put("default.api.timeout.ms", "20000");
        settings.put("request.timeout.ms", "10000");
        return Admin.create(settings);
    }

    /** A producer of strings; more are pairs of setting and value. */
    static KafkaProducer<String, String> producer(String... more) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", Suite.BOOTSTRAP);
        settings.put("key.serializer", StringSerializer.class.getName());
        settings.put("value.serializer", StringSerializer.class.getName());
        settings.put("request.timeout.ms", "10000");
        settings.put("delivery.timeout.ms", "30000");
        settings.put("max.block.ms", "20000");
        return new KafkaProducer<>(with(settings, more));
    }

    /** A consumer of strings from the earliest offset; more are pairs of setting and value. */
    static KafkaConsumer<String, String> consumer(String... more) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", Suite.BOOTSTRAP);
        settings.put("key.deserializer", StringDeserializer.class.getName());
        settings.put("value.deserializer", StringDeserializer.class.getName());
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", "false");
        settings.put("default.api.timeout.ms", "20000");
        settings.put("request.timeout.ms", "10000");
        settings.put("metadata.max.age.ms", "5000");
        return new KafkaConsumer<>(with(settings, more));
    }

    private static Properties with(Properties settings, String... more) {
        for (int i = 0; i < more.length; i += 2) {
            settings.put(more[i], more[i + 1]);
        }
        return settings;
    }

    /** Makes a topic with three partitions and returns its name. */
    static String topic(String name) throws Exception {
        return topic(name, 3, Map.of());
    }

    static String topic(String name, int partitions, Map<String, String> configs) throws Exception {
        String topic = Suite.unique(name);
        try (Admin admin = admin()) {
            NewTopic request = new NewTopic(topic, Optional.of(partitions), Optional.empty()).configs(configs);
            admin.createTopics(List.of(request)).all().get(20, TimeUnit.SECONDS);
        }
        return topic;
    }

    /** Sends values to one partition, waits for all, returns their offsets. */
    static List<Long> send(KafkaProducer<String, String> producer, String topic, int partition, List<String> values)
            throws Exception {
        List<Future<RecordMetadata>> pending = new ArrayList<>();
        for (String value : values) {
            pending.add(producer.send(new ProducerRecord<>(topic, partition, null, value)));
        }
        producer.flush();
        List<Long> offsets = new ArrayList<>();
        for (Future<RecordMetadata> one : pending) {
            offsets.add(one.get(30, TimeUnit.SECONDS).offset());
        }
        return offsets;
    }

    /** Polls until so many records have arrived, or fails at the deadline. */
    static List<ConsumerRecord<String, String>> read(KafkaConsumer<String, String> consumer, int count) {
        List<ConsumerRecord<String, String>> records = new ArrayList<>();
        long deadline = System.nanoTime() + Duration.ofSeconds(25).toNanos();
        while (records.size() < count) {
            consumer.poll(Duration.ofMillis(200)).forEach(records::add);
            Suite.check(System.nanoTime() < deadline, "read " + records.size() + " of " + count + " records in 25 s");
        }
        return records;
    }

    /** Reads so many records of one partition from an offset. */
    static List<ConsumerRecord<String, String>> readFrom(String topic, int partition, long offset, int count) {
        try (KafkaConsumer<String, String> consumer = consumer()) {
            TopicPartition target = new TopicPartition(topic, partition);
            consumer.assign(List.of(target));
            consumer.seek(target, offset);
            return read(consumer, count);
        }
    }

    static List<String> numbered(String prefix, int count) {
        List<String> values = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            values.add(prefix + i);
        }
        return values;
    }

    static List<String> values(List<ConsumerRecord<String, String>> records) {
        return records.stream().map(ConsumerRecord::value).toList();
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
