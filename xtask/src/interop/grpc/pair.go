// A server and a client of grpc-go for `cargo xtask interop grpc`: the client prints a line for each case, "case<TAB>what came of it".
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

type note = wrapperspb.BytesValue

const service = "/fuseboard.interop.Talk/"

// The server.

type talk struct {
	cancelled atomic.Int64
	flaky     atomic.Int64
	release   chan struct{}
	once      sync.Once
}

type unary func(t *talk, ctx context.Context, in *note) (*note, error)

var unaries = map[string]unary{
	"Echo": func(_ *talk, ctx context.Context, in *note) (*note, error) {
		asked, _ := metadata.FromIncomingContext(ctx)
		grpc.SetHeader(ctx, metadata.Pairs("x-head", strings.Join(asked["x-ask"], "+")))
		grpc.SetTrailer(ctx, metadata.Pairs("x-tail", "t", "x-tail-bin", strings.Join(asked["x-ask-bin"], "")))
		return in, nil
	},
	"Fail": func(_ *talk, _ context.Context, in *note) (*note, error) {
		return nil, status.Error(codes.Code(in.Value[0]), "50% of ä, and a line\nmore")
	},
	"Details": func(*talk, context.Context, *note) (*note, error) {
		violation := &errdetails.BadRequest_FieldViolation{Field: "name", Description: "is empty"}
		bad := &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{violation}}
		with, err := status.New(codes.InvalidArgument, "no").WithDetails(bad)
		if err != nil {
			return nil, err
		}
		return nil, with.Err()
	},
	"Deadline": func(_ *talk, ctx context.Context, in *note) (*note, error) {
		until, told := ctx.Deadline()
		left := time.Until(until)
		if !told || left <= 0 || left > 20*time.Second {
			return nil, status.Errorf(codes.FailedPrecondition, "told: %v, %v", told, left)
		}
		return in, nil
	},
	"Forever": func(t *talk, ctx context.Context, _ *note) (*note, error) {
		<-ctx.Done()
		t.cancelled.Add(1)
		return nil, ctx.Err()
	},
	"Cancelled": func(t *talk, _ context.Context, _ *note) (*note, error) {
		for range 500 {
			if t.cancelled.Load() > 0 {
				t.cancelled.Store(0)
				return &note{Value: []byte("seen")}, nil
			}
			time.Sleep(10 * time.Millisecond)
		}
		return nil, status.Error(codes.Aborted, "nobody went away")
	},
	"Flaky": func(t *talk, _ context.Context, in *note) (*note, error) {
		if t.flaky.Add(1)%2 == 1 {
			return nil, status.Error(codes.Unavailable, "the first time")
		}
		return in, nil
	},
	"Hold": func(t *talk, ctx context.Context, in *note) (*note, error) {
		select {
		case <-t.release:
			return in, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	},
	"Release": func(t *talk, _ context.Context, in *note) (*note, error) {
		t.once.Do(func() { close(t.release) })
		return in, nil
	},
}

func countStream(_ any, stream grpc.ServerStream) error {
	total := 0
	for {
		in := &note{}
		err := stream.RecvMsg(in)
		if errors.Is(err, io.EOF) {
			return stream.SendMsg(&note{Value: []byte(fmt.Sprint(total))})
		}
		if err != nil {
			return err
		}
		total += len(in.Value)
	}
}

// As many messages as the one that came is long, then an end: well, or with the code of the first byte.
func manyStream(_ any, stream grpc.ServerStream) error {
	in := &note{}
	if err := stream.RecvMsg(in); err != nil {
		return err
	}
	stream.SetTrailer(metadata.Pairs("x-tail", "t"))
	for range in.Value {
		if err := stream.SendMsg(in); err != nil {
			return err
		}
	}
	return status.Error(codes.Code(in.Value[0]), "as asked")
}

func (t *talk) talkStream(_ any, stream grpc.ServerStream) error {
	for {
		in := &note{}
		err := stream.RecvMsg(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			t.cancelled.Add(1)
			return err
		}
		if err := stream.SendMsg(in); err != nil {
			return err
		}
	}
}

func serve(address string) {
	listener, err := net.Listen("tcp", address)
	fail(err)
	own := &talk{release: make(chan struct{})}
	description := grpc.ServiceDesc{ServiceName: strings.Trim(service, "/"), HandlerType: (*any)(nil)}
	for name, method := range unaries {
		handler := func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			in := &note{}
			if err := decode(in); err != nil {
				return nil, err
			}
			return method(own, ctx, in)
		}
		description.Methods = append(description.Methods, grpc.MethodDesc{MethodName: name, Handler: handler})
	}
	description.Streams = []grpc.StreamDesc{
		{StreamName: "Count", Handler: countStream, ClientStreams: true},
		{StreamName: "Many", Handler: manyStream, ServerStreams: true},
		{StreamName: "Talk", Handler: own.talkStream, ClientStreams: true, ServerStreams: true},
	}
	server := grpc.NewServer()
	server.RegisterService(&description, own)
	checks := health.NewServer()
	checks.SetServingStatus("ill", healthpb.HealthCheckResponse_NOT_SERVING)
	healthpb.RegisterHealthServer(server, checks)
	reflection.Register(server)
	fail(server.Serve(listener))
}

// The client.

type caller struct {
	conn *grpc.ClientConn
}

func dial(address string) caller {
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	fail(err)
	return caller{conn}
}

func (c caller) ask(ctx context.Context, method string, in []byte, options ...grpc.CallOption) ([]byte, error) {
	out := &note{}
	err := c.conn.Invoke(ctx, service+method, &note{Value: in}, out, options...)
	return out.Value, err
}

func (c caller) stream(ctx context.Context, method string, description grpc.StreamDesc) grpc.ClientStream {
	stream, err := c.conn.NewStream(ctx, &description, service+method)
	fail(err)
	return stream
}

func told(err error) string {
	s := status.Convert(err)
	return fmt.Sprintf("%s %q", s.Code(), s.Message())
}

func received(stream grpc.ClientStream) string {
	messages := 0
	for {
		err := stream.RecvMsg(&note{})
		if errors.Is(err, io.EOF) {
			err = nil
		} else if err == nil {
			messages++
			continue
		}
		return fmt.Sprintf("%d messages, %s, tail %v", messages, told(err), stream.Trailer()["x-tail"])
	}
}

func call(address string) {
	c := dial(address)
	within, end := context.WithTimeout(context.Background(), 20*time.Second)
	defer end()
	say := func(name, format string, args ...any) { fmt.Printf("%s\t%s\n", name, fmt.Sprintf(format, args...)) }

	asked := metadata.AppendToOutgoingContext(within, "x-ask", "a", "x-ask", "b", "x-ask-bin", "\x00\xff")
	var head, tail metadata.MD
	out, err := c.ask(asked, "Echo", []byte("hello"), grpc.Header(&head), grpc.Trailer(&tail))
	say("unary with metadata", "%q %s head %v tail %v %q", out, told(err), head["x-head"], tail["x-tail"], tail["x-tail-bin"])
	out, err = c.ask(within, "Echo", nil)
	say("unary, an empty message", "%d bytes %s", len(out), told(err))
	large := bytes.Repeat([]byte("0123456789"), 200_000)
	out, err = c.ask(within, "Echo", large)
	say("unary, 2 MB each way", "whole: %v %s", bytes.Equal(out, large), told(err))
	out, err = c.ask(within, "Echo", large, grpc.UseCompressor(gzip.Name))
	say("unary, gzip", "whole: %v %s", bytes.Equal(out, large), told(err))
	_, err = c.ask(within, "Echo", large, grpc.MaxCallRecvMsgSize(1000))
	say("an answer that is too large", "%s", status.Code(err))
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		_, err = c.ask(within, "Fail", []byte{byte(code)})
		say(fmt.Sprintf("status %d", code), "%s", told(err))
	}
	_, err = c.ask(within, "Details", nil)
	for _, detail := range status.Convert(err).Details() {
		violations := detail.(*errdetails.BadRequest).GetFieldViolations()
		say("details of an error", "%s: %s %s", told(err), violations[0].GetField(), violations[0].GetDescription())
	}
	_, err = c.ask(within, "Nothing", nil)
	say("a method that is not there", "%s", told(err))
	err = c.conn.Invoke(within, "/no.Such/Service", &note{}, &note{})
	say("a service that is not there", "%s", told(err))

	_, err = c.ask(within, "Deadline", []byte("x"))
	say("the server knows the deadline", "%s", told(err))
	short, end := context.WithTimeout(within, 100*time.Millisecond)
	_, err = c.ask(short, "Forever", nil)
	end()
	seen, _ := c.ask(within, "Cancelled", nil)
	say("a deadline that passes", "%s, by the server: %s", status.Code(err), seen)

	stream := c.stream(within, "Count", grpc.StreamDesc{ClientStreams: true})
	for range 100 {
		fail(stream.SendMsg(&note{Value: make([]byte, 1000)}))
	}
	fail(stream.CloseSend())
	sum := &note{}
	err = stream.RecvMsg(sum)
	say("100 messages to the server", "%s %s", sum.Value, told(err))
	for _, code := range []codes.Code{codes.OK, codes.DataLoss, codes.Unavailable} {
		stream = c.stream(within, "Many", grpc.StreamDesc{ServerStreams: true})
		fail(stream.SendMsg(&note{Value: append([]byte{byte(code)}, make([]byte, 99)...)}))
		fail(stream.CloseSend())
		say(fmt.Sprintf("100 messages from the server, then %s", code), "%s", received(stream))
	}
	stream = c.stream(within, "Talk", grpc.StreamDesc{ClientStreams: true, ServerStreams: true})
	turns := 0
	for ; turns < 50; turns++ {
		in := &note{}
		fail(stream.SendMsg(&note{Value: []byte{byte(turns)}}))
		if err := stream.RecvMsg(in); err != nil || in.Value[0] != byte(turns) {
			break
		}
	}
	fail(stream.CloseSend())
	say("50 turns of talk", "%d turns, then %s", turns, received(stream))
	leaving, leave := context.WithCancel(within)
	stream = c.stream(leaving, "Talk", grpc.StreamDesc{ClientStreams: true, ServerStreams: true})
	fail(stream.SendMsg(&note{Value: []byte("x")}))
	fail(stream.RecvMsg(&note{}))
	leave()
	err = stream.RecvMsg(&note{})
	seen, _ = c.ask(within, "Cancelled", nil)
	say("a caller that goes away", "%s, by the server: %s", status.Code(err), seen)
	_, err = c.ask(within, "Flaky", nil)
	say("UNAVAILABLE the first time", "%s", told(err))
	watch, err := healthpb.NewHealthClient(c.conn).Watch(within, &healthpb.HealthCheckRequest{Service: "ill"})
	fail(err)
	first, err := watch.Recv()
	say("the first message of a watch", "%s %s", first.GetStatus(), told(err))
}

// Four calls where one may run and one may wait. Whoever is refused comes back at once; the others are let go then.
func limits(address, direct string) {
	within, end := context.WithTimeout(context.Background(), 20*time.Second)
	defer end()
	c := dial(address)
	results := make(chan string)
	for range 4 {
		go func() {
			var head metadata.MD
			var tail metadata.MD
			_, err := c.ask(within, "Hold", nil, grpc.Header(&head), grpc.Trailer(&tail))
			why := append(head["x-fuseboard-refused"], tail["x-fuseboard-refused"]...)
			results <- fmt.Sprintf("%s %v", told(err), why)
		}()
	}
	all := []string{<-results, <-results}
	_, err := dial(direct).ask(within, "Release", nil)
	fail(err)
	all = append(all, <-results, <-results)
	sort.Strings(all)
	for n, one := range all {
		fmt.Printf("four calls where two have room: %d\t%s\n", n+1, one)
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	switch os.Args[1] {
	case "serve":
		serve(os.Args[2])
	case "call":
		call(os.Args[2])
	case "limits":
		limits(os.Args[2], os.Args[3])
	}
}
