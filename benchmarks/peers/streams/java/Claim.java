package eventfleet;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.UncheckedIOException;

/** What sums need of an event, read from its JSON by name; what comes after the last of them is not looked at. */
record Claim(String member, long cents, long eventTimeMs) {
    private static final JsonFactory JSON = new JsonFactory();
    private static final int FIELDS = 3;

    static Claim parse(byte[] json) {
        String member = null;
        long cents = 0;
        long eventTimeMs = 0;
        try (JsonParser parser = JSON.createParser(json)) {
            parser.nextToken();
            for (int found = 0; found < FIELDS && parser.nextToken() == JsonToken.FIELD_NAME; ) {
                String name = parser.currentName();
                parser.nextToken();
                found++;
                switch (name) {
                    case "member_id" -> member = parser.getText();
                    case "charge_cents" -> cents = parser.getLongValue();
                    case "event_time_ms" -> eventTimeMs = parser.getLongValue();
                    default -> {
                        parser.skipChildren();
                        found--;
                    }
                }
            }
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        return new Claim(member, cents, eventTimeMs);
    }
}
