"""A first topic with confluent-kafka's AdminClient: three partitions, replication factor 3.

    python confluent_admin.py [BOOTSTRAP] [TOPIC]
"""

import sys

from confluent_kafka.admin import AdminClient, NewTopic

bootstrap = sys.argv[1] if len(sys.argv) > 1 else "localhost:9092"
topic = sys.argv[2] if len(sys.argv) > 2 else "test_topic"

a = AdminClient({"bootstrap.servers": bootstrap})

new_topics = [NewTopic(topic, num_partitions=3, replication_factor=3)]

# Call create_topics to asynchronously create topics. A dict of <topic,future> is returned.
fs = a.create_topics(new_topics)

# Wait for each operation to finish.
for name, f in fs.items():
    f.result()  # The result itself is None
    print("Topic {} created".format(name))

for partition in a.list_topics(topic, timeout=10).topics[topic].partitions.values():
    print("partition", partition.id, "replicas", partition.replicas)
