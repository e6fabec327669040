"""A first producer with kafka-python: JSON values to a topic that nobody created.

    python kafka_python_producer.py [BOOTSTRAP] [TOPIC]
"""

import json
import sys

from kafka import KafkaProducer

bootstrap = sys.argv[1] if len(sys.argv) > 1 else "localhost:9092"
topic = sys.argv[2] if len(sys.argv) > 2 else "numtest"

producer = KafkaProducer(
    bootstrap_servers=[bootstrap],
    value_serializer=lambda x: json.dumps(x).encode("utf-8"),
)

for e in range(100):
    data = {"number": e}
    producer.send(topic, value=data)

producer.flush()
print("sent 100 messages")
