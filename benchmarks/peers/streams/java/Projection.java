package eventfleet;

import java.util.ArrayList;
import java.util.List;
import org.apache.avro.LogicalTypes;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericData.StringType;

/** The part of a record's schema that is read: the fields at some paths, such as {@code payer.id}. */
final class Projection {
    private Projection() {}

    /** Returns the schema of a record with the fields at these paths alone; its texts are Java's strings. */
    static Schema of(Schema written, List<String> paths) {
        var fields = new ArrayList<Schema.Field>();
        for (Schema.Field field : written.getFields()) {
            if (paths.contains(field.name())) {
                fields.add(new Schema.Field(field.name(), withStrings(field.schema())));
                continue;
            }
            String prefix = field.name() + ".";
            List<String> below = paths.stream()
                    .filter(path -> path.startsWith(prefix))
                    .map(path -> path.substring(prefix.length()))
                    .toList();
            if (!below.isEmpty()) {
                fields.add(new Schema.Field(field.name(), of(field.schema(), below)));
            }
        }
        return Schema.createRecord(written.getName(), null, written.getNamespace(), false, fields);
    }

    /** Returns where a path lies in a projected schema: the position of its field in each record on the way. */
    static int[] positions(Schema projected, String path) {
        String[] names = path.split("\\.");
        int[] positions = new int[names.length];
        Schema at = projected;
        for (int depth = 0; depth < names.length; depth++) {
            Schema.Field field = at.getField(names[depth]);
            positions[depth] = field.pos();
            at = field.schema();
        }
        return positions;
    }

    /** Returns what one is in the unscaled value of the decimal at a path. */
    static long unit(Schema written, String path) {
        Schema at = written;
        for (String name : path.split("\\.")) {
            at = at.getField(name).schema();
        }
        int scale = at.getLogicalType() instanceof LogicalTypes.Decimal decimal ? decimal.getScale() : 0;
        return (long) Math.pow(10, scale);
    }

    private static Schema withStrings(Schema schema) {
        if (schema.isUnion()) {
            schema.getTypes().forEach(Projection::withStrings);
        } else if (schema.getType() == Schema.Type.STRING && schema.getProp(GenericData.STRING_PROP) == null) {
            GenericData.setStringType(schema, StringType.String);
        }
        return schema;
    }
}
