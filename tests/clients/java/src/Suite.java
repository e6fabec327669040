import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Runs scenarios one after another, each under a deadline, and prints one line for each.
 *
 * Invariants: a scenario that does not end in time is a failure, never a hang; the exit code is 1
 * when anything failed; names of topics and groups carry a suffix of this run.
 */
final class Suite {
    /** What a scenario does; any exception is a failure. */
    interface Scenario {
        void run() throws Exception;
    }

    /** Thrown by a scenario that cannot be run here, with the reason. */
    static final class Skip extends Exception {
        Skip(String reason) {
            super(reason);
        }
    }

    static final String BOOTSTRAP = System.getenv("BOOTSTRAP");
    static final boolean REFERENCE = "1".equals(System.getenv("REFERENCE"));
    private static final String SUFFIX =
            Long.toString(System.currentTimeMillis() % 1_000_000_000L, 36) + "-" + ProcessHandle.current().pid();

    private final List<String> only;
    private int passed;
    private int failed;
    private int skipped;

    private Suite(List<String> only) {
        this.only = only;
    }

    /** A name no other run uses. */
    static String unique(String name) {
        return name + "-" + SUFFIX;
    }

    static void check(boolean condition, String reason) {
        if (!condition) {
            throw new AssertionError(reason);
        }
    }

    static void same(Object expected, Object found, String what) {
        if (expected == null ? found != null : !expected.equals(found)) {
            throw new AssertionError(what + ": expected " + shortened(expected) + ", found " + shortened(found));
        }
    }

    /** The same, for what Apache Kafka shows a moment after it has answered, and Alluvium at once: ends of transactions. */
    static void shows(Object expected, Callable<?> found, String what) throws Exception {
        if (REFERENCE) {
            long deadline = System.nanoTime() + Duration.ofSeconds(15).toNanos();
            while (!Objects.equals(expected, found.call()) && System.nanoTime() < deadline) {
                Thread.sleep(50);
            }
        }
        same(expected, found.call(), what);
    }

    /** Waits until the condition holds; a deadline in place of a fixed sleep. */
    static void eventually(Duration limit, String what, Callable<Boolean> condition) throws Exception {
        long deadline = System.nanoTime() + limit.toNanos();
        while (!condition.call()) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("not within " + limit.toSeconds() + " s: " + what);
            }
            Thread.sleep(50);
        }
    }

    /** Runs the scenario when it was asked for. */
    void scenario(String name, Scenario scenario) {
        scenario(name, Duration.ofSeconds(45), scenario);
    }

    void scenario(String name, Duration limit, Scenario scenario) {
        if (!only.isEmpty() && only.stream().noneMatch(name::contains)) {
            return;
        }
        FutureTask<Void> task = new FutureTask<>(() -> {
            scenario.run();
            return null;
        });
        Thread thread = new Thread(task, name);
        thread.setDaemon(true);
        long started = System.nanoTime();
        thread.start();
        try {
            task.get(limit.toMillis(), TimeUnit.MILLISECONDS);
            passed++;
            report("ok java/" + name);
        } catch (TimeoutException e) {
            String where = thread.getStackTrace().length == 0 ? "" : " at " + ownFrame(thread.getStackTrace());
            task.cancel(true);
            fail(name, "not done within " + limit.toSeconds() + " s" + where);
        } catch (ExecutionException e) {
            if (e.getCause() instanceof Skip) {
                skipped++;
                report("skip java/" + name + ": " + e.getCause().getMessage());
            } else {
                fail(name, describe(e.getCause()));
            }
        } catch (InterruptedException e) {
            fail(name, "interrupted");
        }
        if (System.getenv("VERBOSE") != null) {
            report("   " + Duration.ofNanos(System.nanoTime() - started).toMillis() + " ms");
        }
    }

    private void fail(String name, String reason) {
        failed++;
        report("FAIL java/" + name + ": " + reason.replace('\n', ' '));
    }

    private static void report(String line) {
        System.out.println(line);
        System.out.flush();
    }

    private static String describe(Throwable error) {
        Throwable root = error;
        while (root.getCause() != null && root.getCause() != root) {
            root = root.getCause();
        }
        String type = root instanceof AssertionError ? "" : root.getClass().getSimpleName() + ": ";
        return type + root.getMessage() + " at " + ownFrame(error.getStackTrace());
    }

    private static String ownFrame(StackTraceElement[] frames) {
        for (StackTraceElement frame : frames) {
            boolean ours = !frame.getClassName().contains(".") && !frame.getClassName().equals("Suite");
            if (ours) {
                return frame.getFileName() + ":" + frame.getLineNumber();
            }
        }
        return "unknown line";
    }

    private static String shortened(Object value) {
        String text = String.valueOf(value);
        return text.length() <= 300 ? text : text.substring(0, 300) + "... (" + text.length() + " characters)";
    }

    public static void main(String[] arguments) {
        Suite suite = new Suite(new ArrayList<>(List.of(arguments)));
        RecordScenarios.register(suite);
        GroupScenarios.register(suite);
        ConsumerProtocolScenarios.register(suite);
        AdminScenarios.register(suite);
        ToolScenarios.register(suite);
        ClusterToolScenarios.register(suite);
        TransactionScenarios.register(suite);
        TransactionOffsetScenarios.register(suite);
        TransactionToolScenarios.register(suite);
        StreamsScenarios.register(suite);
        report(suite.passed + " passed, " + suite.failed + " failed, " + suite.skipped + " skipped");
        Runtime.getRuntime().halt(suite.failed == 0 ? 0 : 1);
    }
}
