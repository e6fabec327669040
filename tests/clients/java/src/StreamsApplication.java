import java.io.IOException;
import java.util.Locale;
import java.util.Properties;
import java.util.regex.Pattern;
import java.util.List;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;

/**
 * A Kafka Streams application with exactly_once_v2, a process of its own so that it can be killed.
 *
 * Arguments: upper or count, the broker, the application id, the topics it reads and writes, the folder of its state.
 * It ends when its stdin ends.
 */
final class StreamsApplication {
    private StreamsApplication() {}

    public static void main(String[] arguments) throws IOException {
        StreamsBuilder builder = new StreamsBuilder();
        KStream<String, String> lines = builder.stream(arguments[3]);
        if (arguments[0].equals("upper")) {
            lines.mapValues(line -> line.toUpperCase(Locale.ROOT)).to(arguments[4]);
        } else {
            // As in Kafka's own tutorial: words are regrouped through a topic, and counted in a store with a changelog.
            lines.flatMapValues(line -> List.of(Pattern.compile("\\W+").split(line)))
                    .groupBy((key, word) -> word)
                    .count(Materialized.as("counts"))
                    .toStream()
                    .mapValues(count -> count.toString())
                    .to(arguments[4]);
        }
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[1]);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, arguments[2]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[5]);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        // Every count is written, so that none can be missing or there twice without notice.
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, "0");
        // The group finds out soon that a process was killed.
        settings.put(StreamsConfig.consumerPrefix("session.timeout.ms"), "6000");
        settings.put(StreamsConfig.consumerPrefix("heartbeat.interval.ms"), "1000");
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        streams.setUncaughtExceptionHandler(error -> {
            System.err.println("a thread of the application ended: " + error);
            return StreamThreadExceptionResponse.REPLACE_THREAD;
        });
        streams.start();
        while (System.in.read() >= 0) {
            // Nothing is said on stdin.
        }
        streams.close();
    }
}
