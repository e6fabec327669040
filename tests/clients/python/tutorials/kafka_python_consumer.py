"""A first consumer with kafka-python: reads JSON values from the beginning until it is interrupted.

    python kafka_python_consumer.py [BOOTSTRAP] [TOPIC] [GROUP]
"""

import json
import sys

from kafka import KafkaConsumer

bootstrap = sys.argv[1] if len(sys.argv) > 1 else "localhost:9092"
topic = sys.argv[2] if len(sys.argv) > 2 else "numtest"
group = sys.argv[3] if len(sys.argv) > 3 else "my-group"

consumer = KafkaConsumer(
    topic,
    bootstrap_servers=[bootstrap],
    auto_offset_reset="earliest",
    enable_auto_commit=True,
    group_id=group,
    value_deserializer=lambda x: json.loads(x.decode("utf-8")),
)

for message in consumer:
    print("received", message.value["number"], flush=True)
