"""Two gateways on one broker are one service: the same quotes, and one status."""

import pregon


def both(system, **settings):
    broker = system.broker()
    return broker, [system.gateway(broker, gateway_name=f"gw-{i}", websocket_max_connections=10 * i,
                                   **settings) for i in (1, 2)]


def rows(status):
    return {(c["gateway"], c["port"]) for c in status["connections"]}


def test_every_gateway_reports_the_connections_of_all_gateways(system):
    broker, gateways = both(system)
    clients = [[system.client(g, "?symbols=X") for _ in range(n)] for g, n in zip(gateways, (2, 3))]
    here = {(f"gw-{i}", c.local_port) for i, some in enumerate(clients, 1) for c in some}
    for gateway in gateways:
        status = pregon.eventually(gateway.status, lambda s: s["active_connections"] == 5)
        assert rows(status) == here
        assert (status["complete"], status["truncated"]) == (True, False)
        assert {(g["name"], g["http"], g["active_connections"], g["max_connections"])
                for g in status["gateways"]} == {("gw-1", gateways[0].url, 2, 10),
                                                 ("gw-2", gateways[1].url, 3, 20)}
        assert status["gateway"]["name"] == gateway.settings["gateway_name"]
        assert gateway.page("health")["gateway"]["active_connections"] in (2, 3)

    clients[0][0].close()
    clients[1][0].abort()
    for gateway in gateways:
        pregon.eventually(gateway.status, lambda s: s["active_connections"] == 3)
    pages = [gateways[0].page(f"websocket_status?limit=1&offset={i}") for i in range(3)]
    assert [p["truncated"] for p in pages] == [True, True, False]
    assert set().union(*map(rows, pages)) == rows(gateways[1].status())


def test_the_limit_is_each_gateways_own(system):
    broker, (one, two) = both(system)
    for _ in range(10):
        system.raw_client(one).receive("welcome")
    assert system.handshake(one).code == "max_connections"
    system.raw_client(two).receive("welcome")


def test_a_killed_gateway_takes_its_connections_with_it(system):
    broker, (one, two) = both(system)
    lost = [system.client(one, "?symbols=X") for _ in range(3)]
    stays = system.client(two, "?symbols=X")
    pregon.eventually(two.status, lambda s: s["active_connections"] == 4)
    one.kill()
    for client in lost:
        assert client.wait_closed()[0] == 1006
    status = pregon.eventually(two.status, lambda s: s["active_connections"] == 1)
    assert rows(status) == {("gw-2", stays.local_port)}
    assert [g["name"] for g in status["gateways"]] == ["gw-2"]
    broker.wait_for_log("gateway gw-1 .* is silent: 3 connections are gone with it")


def test_a_gateway_that_stops_is_gone_at_once(system):
    broker, (one, two) = both(system)
    client = system.client(one, "?symbols=X")
    pregon.eventually(two.status, lambda s: s["active_connections"] == 1)
    one.stop()
    assert client.wait_closed()[0] == 1012
    broker.wait_for_log("gateway gw-1 says goodbye")
    status = pregon.eventually(two.status, lambda s: len(s["gateways"]) == 1)
    assert (status["active_connections"], status["connections"]) == (0, [])


def test_both_print_the_same_quotes_in_the_same_order(system):
    broker, gateways = both(system)
    feed = system.feed(broker)
    feed.quote("X", last="0")
    feed.wait_processed()
    clients = [system.client(g, "?symbols=*&mode=all") for g in gateways]
    for client in clients:
        client.receive("snapshot", last="0")
    for n in range(1, 500):
        feed.quote("XYZ"[n % 3], last=str(n))
    told = []
    for client in clients:
        client.receive("quote", last="499")
        told.append([m for m in client.messages if m["type"] == "quote"])
    assert len(told[0]) == 499
    assert told[0] == told[1]
    one, two = (g.page("quotes") for g in gateways)
    assert (one["epoch"], one["seq"], one["quotes"]) == (two["epoch"], two["seq"], two["quotes"])


def test_two_gateways_of_one_name_are_still_two(system):
    broker = system.broker()
    gateways = [system.gateway(broker, gateway_name="same") for _ in range(2)]
    for gateway in gateways:
        system.client(gateway, "?symbols=X")
    for gateway in gateways:
        status = pregon.eventually(gateway.status, lambda s: s["active_connections"] == 2)
        assert {g["http"] for g in status["gateways"]} == {g.url for g in gateways}
