"""A program: what a cloud's metadata service tells. `python -m gpucheck.probes.metadata aws|gcp|azure place|events`

Prints a Cloud or a CloudEvents in JSON. The answers are full of what is nobody's business, account, project,
subscription, names and keys: nothing but single words of a known form leaves this program. It ends after SECONDS.
"""

import http.client
import json
import re
import signal
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from gpucheck.probes import metadata_answers
from gpucheck.probes.metadata_answers import word

T = TypeVar("T")
ADDRESS = "169.254.169.254"  # of all three: on the same host, no name has to be resolved, and no proxy is asked
SECONDS = 0.3  # for all questions: with the start of this program half a second
MOST = 2**18  # bytes of an answer: Azure's holds 64 KiB of user data
HEADERS = {
    "aws": {"X-aws-ec2-metadata-token-ttl-seconds": "60"},
    "gcp": {"Metadata-Flavor": "Google", "Host": "metadata.google.internal"},
    "azure": {"Metadata": "true"},
}
TOKEN = re.compile(r"[!-~]{1,1000}")
NONE_YET = "no notifications have been received yet"  # GCP, with status 503


class Late(Exception):
    """The time is over."""


class Untold(Exception):
    """Why there is no answer."""


class Service:
    """Gives answers, or None and a reason in `untold`."""

    def __init__(self, cloud: str) -> None:
        self.headers = dict(HEADERS[cloud])
        self.untold: list[str] = []
        self.hint: str | None = None  # why it may be late

    def word(self, path: str, absent: bool = False) -> str | None:
        """The last part of projects/123456789012/zones/us-central1-a. `absent`: there may be none."""
        return self._told(path, lambda text: _of_form(word(text.strip().rpartition("/")[2]), str), absent)

    def json(self, path: str, kind: type[T], absent: bool = False) -> T | None:
        return self._told(path, lambda text: _of_form(_json(text), kind), absent)

    def take_token(self) -> bool:
        """Of IMDSv2. Nothing is asked without."""
        self.hint = "in a container: the instance's hop limit may be 1"
        token = self._told("/latest/api/token", lambda text: _of_form(TOKEN.fullmatch(text), re.Match)[0], put=True)
        self.hint = None
        self.headers = {"X-aws-ec2-metadata-token": token or ""}
        return token is not None

    def fail(self, path: str, why: str) -> None:
        self.untold.append(f"{path.partition('?')[0]} of the metadata service: {why}")

    def _told(self, path: str, read: Callable[[str], T], absent: bool = False, put: bool = False) -> T | None:
        try:
            text = self._text(path, absent, "PUT" if put else "GET")
            return None if text is None else read(text)
        except Untold as why:
            self.fail(path, str(why))
            return None

    def _text(self, path: str, absent: bool, method: str) -> str | None:
        connection = http.client.HTTPConnection(ADDRESS)
        try:
            connection.request(method, path, headers=self.headers)
            answer = connection.getresponse()
            text = answer.read(MOST).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:  # whose own words may be what was sent
            raise Untold(getattr(error, "strerror", None) or type(error).__name__) from error
        finally:
            connection.close()
        if "Metadata-Flavor" in self.headers and not _is_googles(answer):
            raise Untold("not Google's answer")
        if absent and (answer.status == 404 or (answer.status == 503 and NONE_YET in text)):
            return None
        if answer.status != 200:
            raise Untold(f"answers {answer.status}")
        return text


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Untold("not JSON") from error


def _of_form(value: Any, kind: type[T]) -> T:
    if not isinstance(value, kind):
        raise Untold("not of its form")
    return value


def _is_googles(answer: http.client.HTTPResponse) -> bool:
    """An error page is told by its server: "Metadata Server for VM"."""
    server = answer.headers.get("Server") or ""
    return answer.headers.get("Metadata-Flavor") == "Google" or (answer.status != 200 and "Metadata Server" in server)


def _late(*_: object) -> None:
    raise Late


def main() -> None:
    cloud, what = sys.argv[1:]
    service, found = Service(cloud), list[dict[str, Any]]()
    signal.signal(signal.SIGALRM, _late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        for part in metadata_answers.ASKED[what][cloud](service):
            found.append(part)  # what came before the time was over counts
        signal.setitimer(signal.ITIMER_REAL, 0)
    except Late:
        hint = f" ({service.hint})" if service.hint else ""
        service.untold.insert(0, f"the metadata service did not answer within {SECONDS:g} s{hint}")
    untold = "; ".join(service.untold[:3]) or None
    if what == "events":
        print(json.dumps({"events": found, "untold": untold}))  # noqa: T201
        return
    known = {"instance_type": None, **{name: value for part in found for name, value in part.items()}}
    print(json.dumps({"provider": cloud, **known, "untold": untold}))  # noqa: T201


if __name__ == "__main__":
    main()
