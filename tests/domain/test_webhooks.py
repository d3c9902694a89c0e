"""Where deliveries may go, and how they are signed."""

import hashlib
import hmac
import ipaddress

import pytest

from queues.domain.webhooks import EVENTS, TEST_EVENT, as_address, check_url, is_public, sign

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "193.0.6.139",
    "2606:4700::1111",
    "::ffff:1.1.1.1",
    "64:ff9b::101:101",
]
PRIVATE = [
    "2002:101:101::1",
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
    *("192.0.2.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "fe80::1", "fc00::1", "fd12::1", "fec0::1", "ff02::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "::10.0.0.1"),
    *("64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::1", "2002:a00:1::1"),
]


@pytest.mark.parametrize("text", PUBLIC)
def test_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", PRIVATE)
def test_not_public(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("host", ["fe80::1%eth0", "1.1.1.1", "::1"])
def test_an_address_is_told_from_a_name(host: str) -> None:
    assert as_address(host) == ipaddress.ip_address(host.partition("%")[0])
    assert as_address("example.com") is as_address("1.1.1") is as_address("0x7f000001") is None


def test_urls() -> None:
    for url in ("https://example.com", "http://example.com:8080/in?a=b%20c", "https://[2606:4700::1111]/"):
        assert check_url(url, private=False) == ""
    assert check_url("http://127.0.0.1:9/", private=True) == ""
    for url in (
        "",
        "example.com",
        "//example.com/",
        "http://",
        "http://exa\tmple.com/",
        "http:\\\\example.com",
        "http://[::1/",
    ):
        assert check_url(url, private=True) != "", url


def test_the_signature_is_that_of_time_and_body() -> None:
    right = hmac.new(b"key", b"1700000000." + b'{"a": 1}', hashlib.sha256).hexdigest()
    assert sign("key", 1_700_000_000, b'{"a": 1}') == f"sha256={right}"
    assert sign("key", 1_700_000_001, b'{"a": 1}') != f"sha256={right}"


def test_a_test_is_no_event_that_can_be_asked_for() -> None:
    assert TEST_EVENT not in EVENTS
