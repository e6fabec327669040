"""Makes a bucket on an S3-compatible server: s3_bucket.py ENDPOINT NAME ACCESS_KEY SECRET_KEY.

Only the standard library: one PUT request, signed with AWS Signature Version 4
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
A bucket that is there already is no error.
"""

import datetime
import hashlib
import hmac
import sys
import urllib.error
import urllib.parse
import urllib.request

REGION = "us-east-1"
EMPTY_HASH = hashlib.sha256(b"").hexdigest()


def keyed(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signed_headers(host: str, path: str, access_key: str, secret_key: str) -> dict[str, str]:
    now = datetime.datetime.now(datetime.timezone.utc)
    moment, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    headers = {"host": host, "x-amz-content-sha256": EMPTY_HASH, "x-amz-date": moment}
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = f"PUT\n{path}\n\n{lines}\n{names}\n{EMPTY_HASH}"
    scope = f"{day}/{REGION}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = keyed(keyed(keyed(keyed(f"AWS4{secret_key}".encode(), day), REGION), "s3"), "aws4_request")
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    authorization = f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "authorization": authorization}


def main() -> int:
    if len(sys.argv) != 5:
        print(__doc__, file=sys.stderr)
        return 2
    endpoint, name, access_key, secret_key = sys.argv[1:]
    host, path = urllib.parse.urlparse(endpoint).netloc, f"/{name}"
    request = urllib.request.Request(
        endpoint.rstrip("/") + path, method="PUT", headers=signed_headers(host, path, access_key, secret_key)
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(request, timeout=10).close()
    except urllib.error.HTTPError as error:
        body = error.read().decode(errors="replace")
        if error.code == 409 and "BucketAlready" in body:
            return 0
        print(f"bucket {name} at {endpoint}: {error.code} {body[:300]}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"bucket {name} at {endpoint}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
