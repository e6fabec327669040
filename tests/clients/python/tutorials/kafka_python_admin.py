"""A first topic with kafka-python's KafkaAdminClient: three partitions, replication factor 3.

    python kafka_python_admin.py [BOOTSTRAP] [TOPIC]
"""

import sys

from kafka.admin import KafkaAdminClient, NewTopic

bootstrap = sys.argv[1] if len(sys.argv) > 1 else "localhost:9092"
topic = sys.argv[2] if len(sys.argv) > 2 else "test_topic"

admin_client = KafkaAdminClient(bootstrap_servers=bootstrap, client_id="test")

topic_list = [NewTopic(name=topic, num_partitions=3, replication_factor=3)]
admin_client.create_topics(new_topics=topic_list, validate_only=False)

for description in admin_client.describe_topics([topic]):
    for partition in description["partitions"]:
        print("partition", partition["partition_index"], "leader", partition["leader_id"])
