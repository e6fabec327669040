import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;

/** Consumer groups of the consumer protocol (KIP-848), alone and together with members of the classic one. */
final class ConsumerProtocolScenarios {
    private static final Duration PATIENCE = Duration.ofSeconds(40);

    private ConsumerProtocolScenarios() {}

    static void register(Suite suite) {
        suite.scenario("consumer-protocol-rebalance", Duration.ofSeconds(120), ConsumerProtocolScenarios::rebalance);
        suite.scenario("consumer-protocol-static-member", Duration.ofSeconds(120), ConsumerProtocolScenarios::staticMember);
        suite.scenario("consumer-protocol-migration", Duration.ofSeconds(180), ConsumerProtocolScenarios::migration);
        suite.scenario("consumer-protocol-regex", Duration.ofSeconds(90), ConsumerProtocolScenarios::regex);
    }

    private static GroupScenarios.Member member(String group, String topic, String... more) {
        String[] settings = new String[4 + more.length];
        settings[0] = "group.id";
        settings[1] = group;
        settings[2] = "group.protocol";
        settings[3] = "consumer";
        System.arraycopy(more, 0, settings, 4, more.length);
        return new GroupScenarios.Member(topic, settings);
    }

    private static GroupScenarios.Member classicMember(String group, String topic) {
        return new GroupScenarios.Member(topic, GroupScenarios.settings(group));
    }

    private static void share(String what, GroupScenarios.Member... members) throws Exception {
        Suite.eventually(PATIENCE, what, () -> {
            Set<TopicPartition> all = new HashSet<>();
            int count = 0;
            for (GroupScenarios.Member member : members) {
                if (member.partitions() == 0) {
                    return false;
                }
                count += member.partitions();
                all.addAll(member.assigned);
            }
            return count == 3 && all.size() == 3;
        });
    }

    private static void rebalance() throws Exception {
        String topic = RecordScenarios.filled("consumer-protocol", 20);
        String group = Suite.unique("consumer-protocol-group");
        try (GroupScenarios.Member first = member(group, topic)) {
            share("one member has three partitions", first);
            Suite.eventually(PATIENCE, "it reads them", () -> first.records.size() == 60);
            try (GroupScenarios.Member second = member(group, topic)) {
                share("two members share three partitions", first, second);
            }
            share("the one that stays has three partitions", first);
        }
        try (GroupScenarios.Member again = member(group, topic)) {
            share("who comes later has three partitions", again);
            Suite.same(0, again.records.size(), "records that were committed are not read again");
        }
    }

    private static void staticMember() throws Exception {
        String topic = Clients.topic("consumer-protocol-static");
        String group = Suite.unique("consumer-protocol-static-group");
        try (GroupScenarios.Member first = member(group, topic, "group.instance.id", "one")) {
            Set<TopicPartition> owned;
            try (GroupScenarios.Member second = member(group, topic, "group.instance.id", "two")) {
                share("two static members share three partitions", first, second);
                owned = second.assigned;
            }
            Set<TopicPartition> others = first.assigned;
            try (GroupScenarios.Member second = member(group, topic, "group.instance.id", "two")) {
                share("the second one is back", first, second);
                Suite.same(owned, second.assigned, "partitions of the one who came back");
                Suite.same(others, first.assigned, "partitions of the one who stayed");
            }
        }
    }

    /** A group changes from the classic to the consumer protocol and back while it has members. */
    private static void migration() throws Exception {
        String topic = Clients.topic("consumer-protocol-migration");
        String group = Suite.unique("consumer-protocol-migration-group");
        try (GroupScenarios.Member stays = classicMember(group, topic)) {
            share("the classic member has three partitions", stays);
            Suite.same(GroupType.CLASSIC, typeOf(group), "type before");
            try (GroupScenarios.Member comes = member(group, topic)) {
                share("both protocols share three partitions", stays, comes);
                Suite.same(GroupType.CONSUMER, typeOf(group), "type meanwhile");
            }
            share("the classic member has three partitions again", stays);
            Suite.same(GroupType.CLASSIC, typeOf(group), "type after");
        }
    }

    private static GroupType typeOf(String group) throws Exception {
        try (Admin admin = Clients.admin()) {
            return admin.listGroups().all().get(20, TimeUnit.SECONDS).stream()
                    .filter(listing -> listing.groupId().equals(group)).findFirst().orElseThrow().type().orElseThrow();
        }
    }

    private static void regex() throws Exception {
        String topic = Clients.topic("consumer-protocol-regex");
        try (KafkaConsumer<String, String> consumer =
                Clients.consumer("group.id", Suite.unique("consumer-protocol-regex-group"), "group.protocol", "consumer")) {
            consumer.subscribe(new SubscriptionPattern(topic + ".*"));
            poll(consumer, "the topic is matched", 3);
            try (Admin admin = Clients.admin()) {
                List<NewTopic> more = List.of(new NewTopic(topic + "-more", 2, (short) 1), new NewTopic("not-" + topic, 2, (short) 1));
                admin.createTopics(more).all().get(20, TimeUnit.SECONDS);
            }
            poll(consumer, "a new topic is matched", 5);
        }
    }

    private static void poll(KafkaConsumer<String, String> consumer, String what, int partitions) throws Exception {
        Suite.eventually(PATIENCE, what, () -> {
            consumer.poll(Duration.ofMillis(100));
            return consumer.assignment().size() == partitions;
        });
    }
}
