"""The order of the Python suite: each client in a process of its own, then the beginner programs."""

import os
import sys

from suite_programs import run_programs

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = {
    "confluent": "confluent_client.py",
    "kafka_python": "kafka_python_client.py",
    "aiokafka": "aiokafka_client.py",
    "tutorials": "tutorials.py",
}


def main(bootstrap, only):
    """Runs the chosen programs, or all."""
    chosen = [(name, file) for name, file in PROGRAMS.items() if not only or name in only]
    return run_programs([(name, [sys.executable, os.path.join(HERE, file), bootstrap]) for name, file in chosen])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
