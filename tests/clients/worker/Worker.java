import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Apache Kafka's own client, steered by a test: README.md says what it is told and what it prints. */
public final class Worker {
    private static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    private static final Map<String, CountDownLatch> FINISH = new ConcurrentHashMap<>();

    private final Map<String, String> settings;
    private final String name;
    private final CountDownLatch finish = new CountDownLatch(1);

    private Worker(Map<String, String> settings) {
        this.settings = settings;
        this.name = settings.get("name");
        FINISH.put(name, finish);
    }

    public static void main(String[] arguments) throws IOException {
        Map<String, String> common = new ConcurrentHashMap<>();
        for (String argument : arguments) {
            String work = argument.substring(0, Math.max(0, argument.indexOf(',')));
            if (!List.of("produce", "consume", "copy").contains(work)) {
                put(common, argument);
                continue;
            }
            Map<String, String> settings = new ConcurrentHashMap<>(common);
            for (String pair : argument.substring(work.length() + 1).split(",")) {
                put(settings, pair);
            }
            Worker worker = new Worker(settings);
            new Thread(() -> worker.run(work), worker.name).start();
        }
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            FINISH.get(line.substring("finish ".length())).countDown();
        }
        Runtime.getRuntime().halt(0);
    }

    private static void put(Map<String, String> settings, String pair) {
        int equals = pair.indexOf('=');
        settings.put(pair.substring(0, equals), pair.substring(equals + 1));
    }

    private void say(String text) {
        synchronized (OUT) {
            OUT.println(name + " " + text);
            OUT.flush();
        }
    }

    private void run(String work) {
        try {
            switch (work) {
                case "produce" -> produce();
                case "consume" -> consume();
                default -> copy();
            }
            say("done");
        } catch (Throwable error) {
            say("failed " + oneLine(error));
        }
    }

    private static String oneLine(Throwable error) {
        return error.toString().replace('\n', ' ');
    }

    private boolean finishing() {
        return finish.getCount() == 0;
    }

    private Properties common() {
        Properties client = new Properties();
        client.put("bootstrap.servers", settings.get("bootstrap"));
        client.put("client.id", name);
        if (settings.containsKey("rack")) {
            client.put("client.rack", settings.get("rack"));
        }
        return client;
    }

    private void produce() throws InterruptedException {
        Properties client = common();
        client.put("key.serializer", StringSerializer.class.getName());
        client.put("value.serializer", StringSerializer.class.getName());
        String topic = settings.get("topic");
        int partitions = Integer.parseInt(settings.get("partitions"));
        long pause = 1_000_000_000L / Long.parseLong(settings.get("rate"));
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(client)) {
            say("ready");
            long due = System.nanoTime();
            for (long sent = 0; !finishing(); sent++) {
                int partition = (int) (sent % partitions);
                long number = sent / partitions;
                String value = name + " " + partition + " " + number;
                producer.send(new ProducerRecord<>(topic, partition, null, value), (metadata, error) -> {
                    if (error == null) {
                        say("ack " + partition + " " + metadata.offset() + " " + number);
                    } else {
                        say("failed " + value + ": " + oneLine(error));
                    }
                });
                due = Math.max(due + pause, System.nanoTime() - 100 * pause);
                finish.await(due - System.nanoTime(), TimeUnit.NANOSECONDS);
            }
            producer.flush();
        }
    }

    private Properties member() {
        Properties client = common();
        client.put("key.deserializer", StringDeserializer.class.getName());
        client.put("value.deserializer", StringDeserializer.class.getName());
        client.put("group.id", settings.get("group"));
        client.put("auto.offset.reset", "earliest");
        client.put("enable.auto.commit", "false");
        if (settings.containsKey("isolation")) {
            client.put("isolation.level", settings.get("isolation"));
        }
        if (settings.containsKey("instance")) {
            client.put("group.instance.id", settings.get("instance"));
        }
        if (settings.containsKey("protocol")) {
            client.put("group.protocol", settings.get("protocol"));
        }
        if (settings.containsKey("assignor")) {
            Class<?> assignor = settings.get("assignor").equals("range") ? RangeAssignor.class : CooperativeStickyAssignor.class;
            client.put("partition.assignment.strategy", assignor.getName());
        }
        return client;
    }

    private void consume() {
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(member())) {
            consumer.subscribe(List.of(settings.get("topic")), new Ownership(consumer));
            say("ready");
            while (!finishing()) {
                ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(100));
                report(records);
                if (!records.isEmpty()) {
                    consumer.commitAsync((offsets, error) -> {
                        if (error != null) {
                            say("note commit: " + oneLine(error));
                        }
                    });
                }
            }
            commitLast(consumer);
        }
    }

    /** Copies in transactions; a producer that is out of order is replaced, and its successor ends what it left. */
    private void copy() {
        say("ready");
        while (!finishing()) {
            Properties sender = common();
            sender.put("key.serializer", StringSerializer.class.getName());
            sender.put("value.serializer", StringSerializer.class.getName());
            sender.put("transactional.id", settings.get("id"));
            sender.put("transaction.timeout.ms", "15000");
            Properties reader = member();
            reader.put("isolation.level", "read_committed");
            reader.put("session.timeout.ms", "6000");
            KafkaProducer<String, String> producer = new KafkaProducer<>(sender);
            try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(reader)) {
                producer.initTransactions();
                consumer.subscribe(List.of(settings.get("topic")));
                while (!finishing()) {
                    copyOnce(producer, consumer);
                }
            } catch (KafkaException error) {
                say("note begins anew: " + oneLine(error));
            } finally {
                producer.close(Duration.ZERO);
            }
        }
    }

    private void copyOnce(KafkaProducer<String, String> producer, KafkaConsumer<String, String> consumer) {
        ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(100));
        if (records.isEmpty()) {
            return;
        }
        Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
        try {
            producer.beginTransaction();
            for (ConsumerRecord<String, String> record : records) {
                producer.send(new ProducerRecord<>(settings.get("to"), record.partition(), null, record.value()));
                next.put(new TopicPartition(record.topic(), record.partition()), new OffsetAndMetadata(record.offset() + 1));
            }
            producer.sendOffsetsToTransaction(next, consumer.groupMetadata());
            producer.commitTransaction();
            say("copied " + records.count());
        } catch (ProducerFencedException | TimeoutException error) {
            throw error;
        } catch (KafkaException error) {
            say("note aborts: " + oneLine(error));
            producer.abortTransaction();
            Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(consumer.assignment());
            for (TopicPartition partition : consumer.assignment()) {
                OffsetAndMetadata offset = committed.get(partition);
                consumer.seek(partition, offset == null ? 0 : offset.offset());
            }
        }
    }

    /** A group that is being rebalanced, or whose coordinator moves, takes the last commit a little later. */
    private void commitLast(KafkaConsumer<String, String> consumer) {
        for (int attempt = 0; ; attempt++) {
            try {
                consumer.commitSync();
                return;
            } catch (RetriableException | org.apache.kafka.clients.consumer.CommitFailedException error) {
                say("note last commit: " + oneLine(error));
                if (attempt == 20) {
                    throw error;
                }
                report(consumer.poll(Duration.ofMillis(100)));
                LockSupport.parkNanos(100_000_000);
            }
        }
    }

    private void report(ConsumerRecords<String, String> records) {
        synchronized (OUT) {
            for (ConsumerRecord<String, String> record : records) {
                OUT.println(name + " got " + record.partition() + " " + record.offset() + " " + record.value());
            }
            OUT.flush();
        }
    }

    private static String listed(Collection<TopicPartition> partitions) {
        List<TopicPartition> copy = new ArrayList<>(partitions);
        return copy.stream().map(TopicPartition::partition).sorted().map(String::valueOf).collect(Collectors.joining(","));
    }

    private final class Ownership implements ConsumerRebalanceListener {
        private final KafkaConsumer<String, String> consumer;

        Ownership(KafkaConsumer<String, String> consumer) {
            this.consumer = consumer;
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> added) {
            say("owns " + consumer.groupMetadata().generationId() + " " + listed(consumer.assignment()));
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> gone) {
            if (!gone.isEmpty()) {
                say("revoked " + listed(gone));
            }
        }

        @Override
        public void onPartitionsLost(Collection<TopicPartition> gone) {
            say("lost " + listed(gone));
        }
    }
}
