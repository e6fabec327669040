"""A producer with confluent-kafka's SerializingProducer: a string key and a JSON value serializer.

    python confluent_serializing_producer.py [BOOTSTRAP] [TOPIC]
"""

import json
import sys

from confluent_kafka import SerializingProducer
from confluent_kafka.serialization import StringSerializer

bootstrap = sys.argv[1] if len(sys.argv) > 1 else "localhost:9092"
topic = sys.argv[2] if len(sys.argv) > 2 else "users"


def json_serializer(value, context):
    """Turns a dictionary into JSON bytes."""
    return json.dumps(value).encode("utf-8")


producer = SerializingProducer(
    {
        "bootstrap.servers": bootstrap,
        "key.serializer": StringSerializer("utf_8"),
        "value.serializer": json_serializer,
    }
)

for number in range(100):
    producer.produce(topic=topic, key=str(number), value={"number": number})
    producer.poll(0.0)

producer.flush()
print("sent 100 messages")
