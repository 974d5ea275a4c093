"""A server and a client of grpcio for `cargo xtask interop grpc`; the client prints a line for each case, "case<TAB>what came of it".

Unlike grpc-go, its server tells its metadata before it knows how the call ends, so that errors come in trailers of their own.
"""

import sys
import threading
import time
from concurrent import futures

import grpc

SERVICE = "fuseboard.interop.Talk"
GONE = threading.Event()
TRIES = []


def echo(asked, context):
    metadata = dict(context.invocation_metadata())
    context.send_initial_metadata((("x-head", metadata.get("x-ask", "")),))
    context.set_trailing_metadata((("x-tail", "t"), ("x-tail-bin", metadata.get("x-ask-bin", b""))))
    return asked


def fail(asked, context):
    context.send_initial_metadata((("x-head", "h"),))
    context.abort(list(grpc.StatusCode)[asked[0]], "50% of ä")


def forever(_, context):
    context.add_callback(GONE.set)
    while context.is_active():
        time.sleep(0.01)
    return b""


def gone(_, context):
    seen = GONE.wait(10)
    GONE.clear()
    return b"seen" if seen else b"nobody went away"


def flaky(asked, context):
    TRIES.append(asked)
    if len(TRIES) % 2 == 1:
        context.abort(grpc.StatusCode.UNAVAILABLE, "the first time")
    return asked


def count(messages, _):
    return str(sum(len(message) for message in messages)).encode()


def many(asked, context):
    for _ in asked:
        yield asked
    if asked[0] != 0:
        context.abort(list(grpc.StatusCode)[asked[0]], "as asked")


def talk(messages, _):
    yield from messages


def serve(address):
    unary = {"Echo": echo, "Fail": fail, "Forever": forever, "Gone": gone, "Flaky": flaky}
    handlers = {name: grpc.unary_unary_rpc_method_handler(method) for name, method in unary.items()}
    handlers["Count"] = grpc.stream_unary_rpc_method_handler(count)
    handlers["Many"] = grpc.unary_stream_rpc_method_handler(many)
    handlers["Talk"] = grpc.stream_stream_rpc_method_handler(talk)
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_insecure_port(address)
    server.start()
    server.wait_for_termination()


def told(call):
    return f"{call.code().name} {call.details()!r} tail {dict(call.trailing_metadata()).get('x-tail')}"


def received(call):
    messages = 0
    try:
        for _ in call:
            messages += 1
    except grpc.RpcError:
        pass
    return f"{messages} messages, {told(call)}"


def call(address):
    channel = grpc.insecure_channel(address)

    def say(case, result):
        print(f"{case}\t{result}", flush=True)

    def ask(method, message, **options):
        options.setdefault("timeout", 20)
        try:
            return channel.unary_unary(f"/{SERVICE}/{method}").with_call(message, **options)
        except grpc.RpcError as error:
            return b"", error

    out, done = ask("Echo", b"hello", metadata=(("x-ask", "a"), ("x-ask-bin", b"\0\xff")))
    tail = dict(done.trailing_metadata())
    say("unary with metadata", f"{out} {told(done)} {dict(done.initial_metadata()).get('x-head')} {tail.get('x-tail-bin')}")
    large = b"0123456789" * 200_000
    for name, way in (("plain", None), ("gzip", grpc.Compression.Gzip), ("deflate", grpc.Compression.Deflate)):
        out, done = ask("Echo", large, compression=way)
        say(f"unary, 2 MB each way, {name}", f"whole: {out == large} {told(done)}")
    for number, code in enumerate(grpc.StatusCode):
        if number > 0:
            say(f"status {number}, after metadata", told(ask("Fail", bytes([number]))[1]))
    say("a method that is not there", told(ask("Nothing", b"")[1]))
    late = ask("Forever", b"", timeout=0.2)[1]
    say("a deadline that passes", f"{late.code().name}, by the server: {ask('Gone', b'')[0]}")
    counted, done = channel.stream_unary(f"/{SERVICE}/Count").with_call(iter([bytes(1000)] * 100), timeout=20)
    say("100 messages to the server", f"{counted} {told(done)}")
    for number in (0, 14, 15):
        stream = channel.unary_stream(f"/{SERVICE}/Many")(bytes([number]) + bytes(99), timeout=20)
        say(f"100 messages from the server, then {number}", received(stream))
    stream = channel.stream_stream(f"/{SERVICE}/Talk")((bytes([n]) for n in range(50)), timeout=20)
    say("50 messages of talk", received(stream))
    stream = channel.unary_unary(f"/{SERVICE}/Forever").future(b"", timeout=20)
    time.sleep(0.2)
    stream.cancel()
    say("a caller that goes away", f"{stream.code().name}, by the server: {ask('Gone', b'')[0]}")
    say("UNAVAILABLE the first time", told(ask("Flaky", b"x")[1]))


if __name__ == "__main__":
    {"serve": serve, "call": call}[sys.argv[1]](sys.argv[2])
