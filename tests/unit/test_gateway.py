from __future__ import annotations

import base64
import http.client
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from infra.local.event import Call, build_event, read_result
from infra.local.gateway import MAX_REQUEST, Gateway
from infra.local.transport import HandlerTransport
from tests.unit.shell_app import KEY, make_handler

if TYPE_CHECKING:
    from collections.abc import Iterator


def mirror(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer with the event itself."""
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": json.dumps(event)}


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway(mirror) as found:
        yield found


@pytest.fixture(params=["transport", "gateway"])
def client(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """Both ways to a handler must make the same events."""
    if request.param == "transport":
        with httpx.Client(transport=HandlerTransport(mirror), base_url="http://127.0.0.1:80") as found:
            yield found
    else:
        with Gateway(mirror) as gateway, httpx.Client(base_url=gateway.url) as found:
            yield found


def test_a_request_becomes_an_event(client: httpx.Client) -> None:
    event = client.get(
        "/a%20b/c?x=1&x=2,3&y=%C3%BC&z",
        headers=[("X-One", "1"), ("X-One", "2"), ("Cookie", "a=1; b=2"), ("User-Agent", "me")],
    ).json()
    context = event["requestContext"]
    assert (event["version"], context["stage"], context["http"]["method"]) == ("2.0", "$default", "GET")
    assert event["rawPath"] == context["http"]["path"] == "/a b/c"
    assert event["rawQueryString"] == "x=1&x=2,3&y=%C3%BC&z"
    assert event["queryStringParameters"] == {"x": "1,2,3", "y": "ü", "z": ""}
    assert event["cookies"] == ["a=1", "b=2"]
    assert event["headers"]["x-one"].replace(" ", "") == "1,2"
    assert "cookie" not in event["headers"]
    assert (context["http"]["userAgent"], event["headers"]["x-forwarded-proto"]) == ("me", "http")
    assert context["domainName"] == event["headers"]["host"]
    assert "body" not in event


@pytest.mark.parametrize(
    ("content_type", "content", "is_base64"),
    [
        ("application/json", '{"ü":1}'.encode(), False),
        ("text/csv; charset=utf-8", b"a,b", False),
        ("application/x-www-form-urlencoded", b"a=1", True),
        ("application/json", b"\xff\x00", True),
        ("", b"a", True),
    ],
)
def test_bodies(client: httpx.Client, content_type: str, content: bytes, is_base64: bool) -> None:  # noqa: FBT001 - a column
    event = client.post("/", content=content, headers={"Content-Type": content_type}).json()
    assert event["isBase64Encoded"] is is_base64
    assert (base64.b64decode(event["body"]) if is_base64 else event["body"].encode()) == content


def answer(result: object) -> httpx.Response:
    with Gateway(lambda _event, _context: result) as gateway:
        over_http = httpx.get(f"{gateway.url}/")
    with httpx.Client(transport=HandlerTransport(lambda _event, _context: result)) as client:
        in_process = client.get("http://local/")
    assert (over_http.status_code, over_http.content) == (in_process.status_code, in_process.content)
    assert over_http.headers.get("content-type") == in_process.headers.get("content-type")
    return over_http


def test_results_become_responses() -> None:
    response = answer(
        {
            "statusCode": 201,
            "headers": {"Content-Type": "text/csv", "X-A": "1"},
            "multiValueHeaders": {"X-B": ["1", "2"]},
            "cookies": ["a=1", "b=2; Secure"],
            "body": base64.b64encode(b"\xff\x00").decode(),
            "isBase64Encoded": True,
        }
    )
    assert (response.status_code, response.content) == (201, b"\xff\x00")
    assert response.headers.get_list("set-cookie") == ["a=1", "b=2; Secure"]
    assert response.headers.get_list("x-b") == ["1", "2"]


def test_a_result_without_a_status_is_json() -> None:
    assert answer({"a": 1}).json() == {"a": 1}
    assert answer(None).json() is None


def test_a_204_has_no_body() -> None:
    assert answer({"statusCode": 204, "body": ""}).content == b""


def test_a_handler_that_fails_is_the_500_of_api_gateway() -> None:
    def fail(_event: object, _context: object) -> None:
        raise RuntimeError("secret")

    with Gateway(fail) as gateway:
        response = httpx.get(gateway.url)
    assert (response.status_code, response.json()) == (500, {"message": "Internal Server Error"})


def test_header_values_cannot_split_a_response() -> None:
    response = answer({"statusCode": 200, "headers": {"X-A": "1"}, "body": "x"})
    assert response.headers["x-a"] == "1"
    with Gateway(lambda _e, _c: {"statusCode": 200, "headers": {"X-A": "1\r\nX-B: 2"}, "body": ""}) as gateway:
        assert "x-b" not in httpx.get(gateway.url).headers


def test_head_and_options(gateway: Gateway) -> None:
    head = httpx.head(f"{gateway.url}/x")
    assert (head.status_code, head.content) == (200, b"")
    assert httpx.options(f"{gateway.url}/x").json()["requestContext"]["http"]["method"] == "OPTIONS"


def test_connections_are_kept_alive(gateway: Gateway) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=5)
    for number in range(3):
        connection.request("POST", f"/{number}", body=b"x")
        response = connection.getresponse()
        assert json.loads(response.read())["rawPath"] == f"/{number}"
        assert response.version == 11
    connection.close()


def test_chunked_bodies(gateway: Gateway) -> None:
    chunks = iter([b'{"a":', b"1}"])
    event = httpx.post(gateway.url, content=chunks, headers={"Content-Type": "application/json"}).json()
    assert event["body"] == '{"a":1}'


def test_more_than_10_mib_is_refused_by_the_gateway(gateway: Gateway) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=5)
    connection.putrequest("POST", "/")
    connection.putheader("Content-Length", str(MAX_REQUEST + 1))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


@pytest.mark.parametrize(
    "head",
    [
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
        "GET / HTTP/1.1 more\r\n",
    ],
)
def test_requests_that_cannot_be_read_are_400_and_end_the_connection(gateway: Gateway, head: str) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as connection:
        connection.sendall(f"{head}\r\nGET /next HTTP/1.1\r\n\r\n".encode())
        content = b"".join(iter(lambda: connection.recv(65536), b""))
    assert content.count(b" 400 ") == 1
    assert b"/next" not in content


def test_32_threads_never_get_each_other_s_answers() -> None:
    with Gateway(make_handler()) as gateway, ThreadPoolExecutor(32) as pool:

        def ask(thread: int) -> None:
            with httpx.Client(base_url=gateway.url, headers={"X-API-Key": KEY, "User-Agent": f"t{thread}"}) as client:
                for number in range(25):
                    text = f"{thread}-{number}"
                    assert client.get(f"/slow/{text}").json() == {"text": text, "agent": f"t{thread}"}
                    assert f"/nowhere{text}" in client.get(f"/nowhere{text}").json()["error"]["message"]

        for done in [pool.submit(ask, thread) for thread in range(32)]:
            done.result()


def test_one_handler_serves_many_threads_in_process() -> None:
    handler = make_handler()

    def ask(thread: int) -> list[str]:
        with httpx.Client(transport=HandlerTransport(handler), headers={"X-API-Key": KEY}) as client:
            return [client.get(f"http://local/slow/{thread}-{number}").json()["text"] for number in range(20)]

    with ThreadPoolExecutor(32) as pool:
        for thread, texts in enumerate(pool.map(ask, range(32))):
            assert texts == [f"{thread}-{number}" for number in range(20)]


def test_stopping_finishes_what_is_under_way_and_closes_the_port() -> None:
    entered, release = threading.Event(), threading.Event()
    ended: list[str] = []

    def slow(_event: object, _context: object) -> dict[str, Any]:
        entered.set()
        release.wait(5)
        return {"statusCode": 200, "body": "done"}

    gateway = Gateway(slow, at_worker_end=lambda: ended.append(threading.current_thread().name))
    gateway.start()
    with httpx.Client() as idle, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(httpx.get, gateway.url)
        assert entered.wait(5)
        stopping = threading.Thread(target=gateway.stop)
        stopping.start()
        time.sleep(0.1)
        release.set()
        assert asked.result().text == "done"
        stopping.join(5)
        assert not stopping.is_alive()
        with pytest.raises(httpx.ConnectError):
            idle.get(gateway.url)
    assert len(ended) == len(set(ended)) > 0


def test_an_idle_connection_does_not_hold_up_stopping(gateway: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as connection:
        time.sleep(0.05)
        started = time.monotonic()
        gateway.stop()
        assert time.monotonic() - started < 2
        assert connection.recv(1) == b""


def test_events_and_replies_need_no_server() -> None:
    event = build_event(Call("GET", "/%C3%BC%2F?a", (), b"", "h"))
    assert (event["rawPath"], event["rawQueryString"]) == ("/ü/", "a")
    reply = read_result({"statusCode": "404", "body": "x"})
    assert (reply.status, reply.headers) == (404, [("content-type", "text/plain;charset=UTF-8")])
