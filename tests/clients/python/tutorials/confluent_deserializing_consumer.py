"""A consumer with confluent-kafka's DeserializingConsumer: a string key and a JSON value deserializer.

    python confluent_deserializing_consumer.py [BOOTSTRAP] [TOPIC] [GROUP]
"""

import json
import sys

from confluent_kafka import DeserializingConsumer
from confluent_kafka.serialization import StringDeserializer

bootstrap = sys.argv[1] if len(sys.argv) > 1 else "localhost:9092"
topic = sys.argv[2] if len(sys.argv) > 2 else "users"
group = sys.argv[3] if len(sys.argv) > 3 else "users-group"


def json_deserializer(data, context):
    """Turns JSON bytes into a dictionary."""
    return None if data is None else json.loads(data.decode("utf-8"))


consumer = DeserializingConsumer(
    {
        "bootstrap.servers": bootstrap,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "key.deserializer": StringDeserializer("utf_8"),
        "value.deserializer": json_deserializer,
    }
)
consumer.subscribe([topic])

try:
    while True:
        message = consumer.poll(1.0)
        if message is None:
            continue
        print("received", message.value()["number"], flush=True)
except KeyboardInterrupt:
    pass
finally:
    consumer.close()
