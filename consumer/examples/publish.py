"""Publish a quote.  Start the gateway with PUBLISH_TOKEN=s3cret.

usage: python publish.py    (pip install ./consumer/python)
"""

from decimal import Decimal

import pregon

quote = {"symbol": "EUR/USD", "bid": Decimal("1.0842"), "ask": Decimal("1.0843")}
print(pregon.publish("http://127.0.0.1:8000", quote, token="s3cret").positions)
