"""Instance metadata as EC2 serves it (version 2), for instances that are none.

    python3 localstack/metadata --control 127.0.0.1:1339 --instance i-0123456789abcdef0@127.0.0.1:1338
    export AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1338

One process serves any number of instances, each at an address of its own; more can
come and go by the control port, where tests set and clear what each one is told
(control.py). Port 0 lets the system choose; what was chosen is printed, a line per
listener, when all of them listen:

    control http://127.0.0.1:1339
    i-0123456789abcdef0 http://127.0.0.1:1338

It needs Python 3.9 and nothing else. SIGTERM or SIGINT ends it.
"""

import argparse
import signal
import sys
import threading

from control import Control
from fleet import Fleet, address


def arguments():
    parser = argparse.ArgumentParser(prog="metadata", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--control", default="127.0.0.1:1339", metavar="ADDRESS:PORT", help="where tests steer it (%(default)s)")
    parser.add_argument("--instance", action="append", default=[], metavar="ID@ADDRESS:PORT", help="an instance from the start; can be repeated")
    parser.add_argument("--zone", default="us-east-1a", help="availability zone of these instances (%(default)s)")
    parser.add_argument("--role", help="gives these instances credentials under the name of this role")
    return parser.parse_args()


def main():
    given = arguments()
    stopped = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stopped.set())
    fleet = Fleet()
    try:
        control = Control(address(given.control), fleet)
        control.start()
        lines = [f"control {control.url}"]
        for instance in given.instance:
            instance_id, at, listen = instance.rpartition("@")
            if not at:
                raise ValueError(f"--instance {instance}: say ID@ADDRESS:PORT")
            lines.append(f"{instance_id} {fleet.add(instance_id, listen, given.zone, given.role)}")
    except (OSError, ValueError) as error:
        sys.exit(f"metadata: error: {error}")
    print("\n".join(lines), flush=True)
    stopped.wait()
    fleet.close()
    control.close()


if __name__ == "__main__":
    main()
