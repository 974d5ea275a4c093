// Walks resilience4j's CircuitBreaker through the courses that `course.rs` writes: one line of input is one event at a virtual
// time, one line of output says what came of it and how the breaker stands then.

import io.github.resilience4j.circuitbreaker.CircuitBreaker;
import io.github.resilience4j.circuitbreaker.CircuitBreakerConfig;
import io.github.resilience4j.core.IntervalFunction;
import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.util.concurrent.TimeUnit;

public final class Driver {
    static final class Ignored extends RuntimeException {}

    static final class VirtualClock extends Clock {
        long nanos;

        @Override
        public Instant instant() {
            return Instant.ofEpochSecond(0, nanos);
        }

        @Override
        public ZoneId getZone() {
            return ZoneOffset.UTC;
        }

        @Override
        public Clock withZone(ZoneId zone) {
            return this;
        }
    }

    private static final VirtualClock CLOCK = new VirtualClock();
    private static CircuitBreaker breaker;

    public static void main(String[] arguments) throws Exception {
        var in = new BufferedReader(new InputStreamReader(System.in));
        var out = new BufferedWriter(new OutputStreamWriter(System.out));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ");
            CLOCK.nanos = Long.parseLong(words[1]);
            out.write(event(words[0], words) + " " + state() + "\n");
        }
        out.flush();
    }

    private static String event(String what, String[] words) {
        switch (what) {
            case "new" -> breaker = CircuitBreaker.of("breaker", config(words));
            case "call" -> {
                return breaker.tryAcquirePermission() ? "let-through" : "refused";
            }
            case "good" -> breaker.onSuccess(Long.parseLong(words[2]), TimeUnit.NANOSECONDS);
            case "bad" -> breaker.onError(Long.parseLong(words[2]), TimeUnit.NANOSECONDS, new RuntimeException());
            case "ignored" -> breaker.onError(Long.parseLong(words[2]), TimeUnit.NANOSECONDS, new Ignored());
            case "left" -> breaker.releasePermission();
            case "look" -> { }
            case "open" -> breaker.transitionToOpenStateFor(Duration.ofMillis(Long.parseLong(words[2])));
            case "over" -> breaker.transitionToHalfOpenState();
            case "reset" -> breaker.reset();
            case "disable" -> breaker.transitionToDisabledState();
            case "enable" -> breaker.transitionToClosedState();
            default -> throw new IllegalArgumentException(what);
        }
        return what;
    }

    // new TIME WINDOW SIZE MINIMUM FAILURE% SLOW% SLOWER-THAN PERMITTED WAIT-MS FACTOR MAX-WAIT-MS
    private static CircuitBreakerConfig config(String[] words) {
        var window = words[2].equals("calls")
            ? CircuitBreakerConfig.SlidingWindowType.COUNT_BASED
            : CircuitBreakerConfig.SlidingWindowType.TIME_BASED;
        return CircuitBreakerConfig.custom()
            .clock(CLOCK)
            .currentTimestampFunction(clock -> CLOCK.nanos, TimeUnit.NANOSECONDS)
            .slidingWindow(Integer.parseInt(words[3]), Integer.parseInt(words[4]), window)
            .failureRateThreshold(Float.parseFloat(words[5]))
            .slowCallRateThreshold(Float.parseFloat(words[6]))
            .slowCallDurationThreshold(Duration.ofNanos(Long.parseLong(words[7])))
            .permittedNumberOfCallsInHalfOpenState(Integer.parseInt(words[8]))
            .waitIntervalFunctionInOpenState(IntervalFunction.ofExponentialBackoff(
                Long.parseLong(words[9]), Double.parseDouble(words[10]), Long.parseLong(words[11])))
            .ignoreExceptions(Ignored.class)
            .build();
    }

    private static String state() {
        var metrics = breaker.getMetrics();
        return switch (breaker.getState()) {
            case CLOSED -> "CLOSED " + metrics.getNumberOfBufferedCalls() + " calls, "
                + metrics.getNumberOfFailedCalls() + " failed, " + metrics.getNumberOfSlowCalls() + " slow";
            case HALF_OPEN -> "HALF_OPEN " + metrics.getNumberOfBufferedCalls() + " good";
            default -> breaker.getState().toString();
        };
    }
}
