"""The gateway that these tests ask."""

from tests.support.gateway import corpus, gateway, gateway_with

__all__ = ["corpus", "gateway", "gateway_with"]
