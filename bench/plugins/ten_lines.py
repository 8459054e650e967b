"""A plugin that does nothing, to measure the engine's cost."""


def process_request(influxdb3_local, query_parameters, request_headers, request_body, args=None):
    influxdb3_local.info("nothing to do")
    return {
        "status": "success",
        "results": {"slack": True},
        "deliveries": [{"outcome": "delivered", "elapsed_ms": 0}],
    }
