"""A first consumer with confluent-kafka: reads JSON values from the beginning until it is interrupted.

    python confluent_consumer.py [BOOTSTRAP] [TOPIC] [GROUP]
"""

import json
import sys

from confluent_kafka import Consumer

bootstrap = sys.argv[1] if len(sys.argv) > 1 else "localhost:9092"
topic = sys.argv[2] if len(sys.argv) > 2 else "purchases"
group = sys.argv[3] if len(sys.argv) > 3 else "mygroup"

c = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest"})
c.subscribe([topic])

try:
    while True:
        msg = c.poll(1.0)

        if msg is None:
            continue
        if msg.error():
            print("Consumer error: {}".format(msg.error()))
            continue

        value = json.loads(msg.value().decode("utf-8"))
        print("received", value["number"], flush=True)
except KeyboardInterrupt:
    pass
finally:
    c.close()
