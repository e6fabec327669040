import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.time.Duration;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** What the AdminClient asks for: topics, partitions, settings, offsets, groups, the cluster. */
final class AdminScenarios {
    private AdminScenarios() {}

    static void register(Suite suite) {
        suite.scenario("admin-create-three-partitions", AdminScenarios::createThreePartitions);
        suite.scenario("admin-test_topic-replication-factor-3", AdminScenarios::testTopic);
        suite.scenario("admin-create-twice", AdminScenarios::createTwice);
        suite.scenario("admin-list-and-delete", AdminScenarios::listAndDelete);
        suite.scenario("admin-create-partitions", AdminScenarios::createPartitions);
        suite.scenario("admin-configs", AdminScenarios::configs);
        suite.scenario("admin-delete-records", AdminScenarios::deleteRecords);
        suite.scenario("admin-list-offsets", AdminScenarios::listOffsets);
        suite.scenario("admin-cluster", AdminScenarios::cluster);
        suite.scenario("admin-groups", AdminScenarios::groups);
        suite.scenario("admin-producers", AdminScenarios::producers);
        suite.scenario("admin-log-dirs", AdminScenarios::logDirs);
    }

    private static <T> T get(KafkaFuture<T> future) throws Exception {
        return future.get(20, TimeUnit.SECONDS);
    }

    private static TopicDescription describe(Admin admin, String topic) throws Exception {
        return get(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic);
    }

    private static void createThreePartitions() throws Exception {
        String topic = Suite.unique("three");
        try (Admin admin = Clients.admin()) {
            var result = admin.createTopics(List.of(new NewTopic(topic, 3, (short) 1)));
            get(result.all());
            Suite.same(3, get(result.numPartitions(topic)), "partitions in the answer");
            TopicDescription description = describe(admin, topic);
            Suite.same(3, description.partitions().size(), "partitions");
            Suite.same(get(result.topicId(topic)), description.topicId(), "topic id");
            Suite.check(description.partitions().stream().allMatch(one -> one.leader() != null), "a partition without leader");
        }
    }

    /** The program of the tutorials: replication factor 3 whatever the number of nodes. */
    private static void testTopic() throws Exception {
        if (Suite.REFERENCE) {
            throw new Suite.Skip("one Apache Kafka node refuses replication factor 3");
        }
        Properties settings = new Properties();
        settings.put("bootstrap.servers", Suite.BOOTSTRAP);
        try (AdminClient admin = AdminClient.create(settings)) {
            if (get(admin.listTopics().names()).contains("test_topic")) {
                get(admin.deleteTopics(List.of("test_topic")).all());
                Suite.eventually(Duration.ofSeconds(20), "test_topic of an earlier run is gone",
                        () -> !get(admin.listTopics().names()).contains("test_topic"));
            }
            NewTopic topic = new NewTopic("test_topic", 3, (short) 3);
            get(admin.createTopics(Collections.singleton(topic)).all());
            TopicDescription description = describe(admin, "test_topic");
            Suite.same(3, description.partitions().size(), "partitions");
        }
    }

    private static void createTwice() throws Exception {
        String topic = Clients.topic("twice");
        try (Admin admin = Clients.admin()) {
            expect(TopicExistsException.class, admin.createTopics(List.of(new NewTopic(topic, 3, (short) 1))).all());
            var validated = admin.createTopics(List.of(new NewTopic(topic + "-dry", 3, (short) 1)),
                    new org.apache.kafka.clients.admin.CreateTopicsOptions().validateOnly(true));
            get(validated.all());
            Suite.check(!get(admin.listTopics().names()).contains(topic + "-dry"), "validateOnly made a topic");
        }
    }

    private static void listAndDelete() throws Exception {
        String topic = Clients.topic("list-and-delete");
        try (Admin admin = Clients.admin()) {
            Suite.check(get(admin.listTopics().names()).contains(topic), "a new topic is not listed");
            get(admin.deleteTopics(List.of(topic)).all());
            Suite.eventually(Duration.ofSeconds(20), "a deleted topic is not listed",
                    () -> !get(admin.listTopics().names()).contains(topic));
            expect(UnknownTopicOrPartitionException.class, admin.deleteTopics(List.of(topic)).all());
            expect(UnknownTopicOrPartitionException.class, admin.describeTopics(List.of(topic)).allTopicNames());
        }
    }

    private static void createPartitions() throws Exception {
        String topic = Clients.topic("grows");
        try (Admin admin = Clients.admin()) {
            get(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all());
            Suite.eventually(Duration.ofSeconds(20), "five partitions", () -> describe(admin, topic).partitions().size() == 5);
            expect(org.apache.kafka.common.errors.InvalidPartitionsException.class,
                    admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(4))).all());
        }
        try (KafkaProducer<String, String> producer = Clients.producer()) {
            Clients.send(producer, topic, 4, List.of("fifth"));
        }
        Suite.same("fifth", Clients.readFrom(topic, 4, 0, 1).get(0).value(), "value in the new partition");
    }

    private static void configs() throws Exception {
        String topic = Clients.topic("configs", 1, Map.of("retention.ms", "3600000"));
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        try (Admin admin = Clients.admin()) {
            Suite.same("3600000", config(admin, resource).get("retention.ms").value(), "retention.ms as created");
            List<AlterConfigOp> changes = List.of(
                    new AlterConfigOp(new ConfigEntry("max.message.bytes", "20000"), AlterConfigOp.OpType.SET),
                    new AlterConfigOp(new ConfigEntry("retention.ms", ""), AlterConfigOp.OpType.DELETE));
            get(admin.incrementalAlterConfigs(Map.of(resource, changes)).all());
            Suite.eventually(Duration.ofSeconds(20), "max.message.bytes as altered",
                    () -> "20000".equals(config(admin, resource).get("max.message.bytes").value()));
            ConfigEntry changed = config(admin, resource).get("max.message.bytes");
            Suite.same(ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, changed.source(), "source");
            ConfigEntry removed = config(admin, resource).get("retention.ms");
            Suite.check(removed.source() != ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, "retention.ms is still set");
            var bad = List.of(new AlterConfigOp(new ConfigEntry("no.such.config", "1"), AlterConfigOp.OpType.SET));
            expect(org.apache.kafka.common.errors.InvalidConfigurationException.class,
                    admin.incrementalAlterConfigs(Map.of(resource, bad)).all());
            int node = get(admin.describeCluster().nodes()).iterator().next().id();
            ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, Integer.toString(node));
            Suite.check(!get(admin.describeConfigs(List.of(broker)).all()).get(broker).entries().isEmpty(), "no broker configs");
        }
    }

    private static Config config(Admin admin, ConfigResource resource) throws Exception {
        return get(admin.describeConfigs(List.of(resource)).all()).get(resource);
    }

    private static void deleteRecords() throws Exception {
        String topic = RecordScenarios.filled("delete-records", 50);
        TopicPartition target = new TopicPartition(topic, 0);
        try (Admin admin = Clients.admin()) {
            var result = admin.deleteRecords(Map.of(target, RecordsToDelete.beforeOffset(33)));
            Suite.same(33L, get(result.lowWatermarks().get(target)).lowWatermark(), "low watermark");
            Suite.same(33L, offset(admin, target, OffsetSpec.earliest()).offset(), "earliest offset");
        }
        Suite.same("p0-33", Clients.readFrom(topic, 0, 33, 17).get(0).value(), "first value left");
    }

    private static ListOffsetsResultInfo offset(Admin admin, TopicPartition target, OffsetSpec spec) throws Exception {
        return get(admin.listOffsets(Map.of(target, spec)).partitionResult(target));
    }

    private static void listOffsets() throws Exception {
        String topic = Clients.topic("list-offsets");
        TopicPartition target = new TopicPartition(topic, 0);
        try (Admin admin = Clients.admin(); KafkaProducer<String, String> producer = Clients.producer()) {
            Suite.same(0L, offset(admin, target, OffsetSpec.latest()).offset(), "latest of an empty partition");
            for (long timestamp : List.of(1000L, 9000L, 5000L)) {
                producer.send(new org.apache.kafka.clients.producer.ProducerRecord<>(topic, 0, timestamp, null, "v"))
                        .get(30, TimeUnit.SECONDS);
            }
            Suite.same(0L, offset(admin, target, OffsetSpec.earliest()).offset(), "earliest");
            Suite.same(3L, offset(admin, target, OffsetSpec.latest()).offset(), "latest");
            Suite.same(1L, offset(admin, target, OffsetSpec.maxTimestamp()).offset(), "max timestamp");
            Suite.same(9000L, offset(admin, target, OffsetSpec.maxTimestamp()).timestamp(), "its timestamp");
            Suite.same(1L, offset(admin, target, OffsetSpec.forTimestamp(1001)).offset(), "by timestamp");
            Suite.same(-1L, offset(admin, target, OffsetSpec.forTimestamp(9001)).offset(), "after the last");
        }
    }

    private static void cluster() throws Exception {
        try (Admin admin = Clients.admin()) {
            DescribeClusterResult result = admin.describeCluster();
            Suite.check(!get(result.clusterId()).isBlank(), "no cluster id");
            Suite.check(!get(result.nodes()).isEmpty(), "no nodes");
            Suite.check(get(result.controller()) != null, "no controller");
        }
    }

    private static void groups() throws Exception {
        String topic = RecordScenarios.filled("groups", 10);
        String group = Suite.unique("described-group");
        TopicPartition target = new TopicPartition(topic, 0);
        try (Admin admin = Clients.admin()) {
            try (KafkaConsumer<String, String> consumer = Clients.consumer("group.id", group, "client.id", "one-of-us")) {
                consumer.subscribe(List.of(topic));
                Clients.read(consumer, 30);
                consumer.commitSync();
                ConsumerGroupDescription description = describeGroup(admin, group);
                Suite.same(GroupState.STABLE, description.groupState(), "state");
                Suite.same(1, description.members().size(), "members");
                Suite.same("one-of-us", description.members().iterator().next().clientId(), "client id");
                Suite.same(3, description.members().iterator().next().assignment().topicPartitions().size(), "assignment");
            }
            Suite.eventually(Duration.ofSeconds(20), "the group is empty",
                    () -> describeGroup(admin, group).groupState() == GroupState.EMPTY);
            List<String> names = new ArrayList<>();
            for (GroupListing listing : get(admin.listGroups().all())) {
                names.add(listing.groupId());
            }
            Suite.check(names.contains(group), "the group is not listed");
            get(admin.alterConsumerGroupOffsets(group, Map.of(target, new OffsetAndMetadata(4))).all());
            var offsets = get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata());
            Suite.same(4L, offsets.get(target).offset(), "altered offset");
            Suite.same(10L, offsets.get(new TopicPartition(topic, 1)).offset(), "committed offset");
            get(admin.deleteConsumerGroupOffsets(group, Set.of(target)).all());
            Suite.same(2, get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()).size(), "offsets left");
            get(admin.deleteConsumerGroups(List.of(group)).all());
            Suite.check(get(admin.listGroups().all()).stream().noneMatch(one -> one.groupId().equals(group)), "still listed");
        }
    }

    private static ConsumerGroupDescription describeGroup(Admin admin, String group) throws Exception {
        return get(admin.describeConsumerGroups(List.of(group)).all()).get(group);
    }

    private static void producers() throws Exception {
        String topic = Clients.topic("producers");
        TopicPartition target = new TopicPartition(topic, 0);
        try (Admin admin = Clients.admin(); KafkaProducer<String, String> producer = Clients.producer()) {
            Clients.send(producer, topic, 0, List.of("a", "b", "c"));
            List<ProducerState> states = get(admin.describeProducers(List.of(target)).partitionResult(target)).activeProducers();
            Suite.same(1, states.size(), "active producers");
            Suite.same(2, states.get(0).lastSequence(), "last sequence");
        }
    }

    private static void logDirs() throws Exception {
        String topic = RecordScenarios.filled("log-dirs", 10);
        try (Admin admin = Clients.admin()) {
            int node = get(admin.describeCluster().nodes()).iterator().next().id();
            var folders = get(admin.describeLogDirs(List.of(node)).allDescriptions()).get(node);
            long bytes = folders.values().stream().flatMap(folder -> folder.replicaInfos().entrySet().stream())
                    .filter(entry -> entry.getKey().topic().equals(topic)).mapToLong(entry -> entry.getValue().size()).sum();
            Suite.check(bytes > 100, "the topic has " + bytes + " bytes");
        }
    }

    private static void expect(Class<?> error, KafkaFuture<?> future) throws Exception {
        try {
            get(future);
        } catch (ExecutionException e) {
            Suite.check(error.isInstance(e.getCause()), "expected " + error.getSimpleName() + ", found " + e.getCause());
            return;
        }
        throw new AssertionError("expected " + error.getSimpleName() + ", found success");
    }
}
