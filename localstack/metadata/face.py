"""The face that instances see: version 2 of the metadata service. Version 1, without
tokens, is switched off, as our Terraform module does it.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html"""

import time

from instance import TOKEN_SECONDS
from server import Handler

TOKEN_HEADER = "X-aws-ec2-metadata-token"
TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"


def face_of(instance):
    """A handler class that serves one instance."""

    class Face(Handler):
        def do_PUT(self):
            self.body()
            if self.unwell():
                return
            if self.path != "/latest/api/token":
                self.answer(405)
            elif "X-Forwarded-For" in self.headers:
                # "The request is rejected if it contains an X-Forwarded-For header."
                self.answer(403)
            else:
                ttl = self.headers.get(TTL_HEADER, "")
                if not ttl.isascii() or not ttl.isdigit() or int(ttl) not in TOKEN_SECONDS:
                    self.answer(400)
                else:
                    self.answer(200, instance.issue_token(int(ttl)), **{TTL_HEADER: ttl})

        def do_GET(self):
            if self.unwell():
                return
            if not instance.accepts(self.headers.get(TOKEN_HEADER, "")):
                self.answer(401)
                return
            top, _, path = self.path.lstrip("/").partition("/")
            value = instance.read(path.split("?", 1)[0]) if top == "latest" else None
            if value is None:
                self.answer(404)
            else:
                self.answer(200, value)

        def unwell(self):
            """Whether a test wants trouble, which is then made."""
            trouble = instance.unwell
            time.sleep(trouble.get("delay_seconds", 0))
            if "status" in trouble:
                self.answer(trouble["status"])
                return True
            return False

    return Face
