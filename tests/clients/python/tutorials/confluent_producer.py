"""A first producer with confluent-kafka: JSON values, a delivery callback, poll and flush.

    python confluent_producer.py [BOOTSTRAP] [TOPIC]
"""

import json
import sys

from confluent_kafka import Producer

bootstrap = sys.argv[1] if len(sys.argv) > 1 else "localhost:9092"
topic = sys.argv[2] if len(sys.argv) > 2 else "purchases"

p = Producer({"bootstrap.servers": bootstrap})


def delivery_report(err, msg):
    """Called once for each message produced to indicate delivery result."""
    if err is not None:
        print("Message delivery failed: {}".format(err))
    else:
        print("Message delivered to {} [{}]".format(msg.topic(), msg.partition()))


for number in range(100):
    # Trigger any available delivery report callbacks from previous produce() calls.
    p.poll(0)
    p.produce(topic, json.dumps({"number": number}).encode("utf-8"), callback=delivery_report)

# Wait for any outstanding messages to be delivered and delivery report callbacks to be triggered.
p.flush()
