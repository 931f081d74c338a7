package sonicdb

import "strings"

// FieldValue is a field of a row. SONiC stores all values as strings.
type FieldValue struct {
	Field, Value string
}

// Lookup returns the value of the first field with the given name.
func Lookup(fvs []FieldValue, field string) (value string, ok bool) {
	for i := range fvs {
		if fvs[i].Field == field {
			return fvs[i].Value, true
		}
	}
	return "", false
}

// TrimListMark returns s up to its first '@'. In CONFIG_DB, the name of a field that holds a list
// ends in '@' ("lanes@"). SONiC removes the '@' and everything after it from the names that it
// copies and the values that it uses.
func TrimListMark(s string) string {
	before, _, _ := strings.Cut(s, "@")
	return before
}

// Table builds the Redis keys of a table. With the separator "|", row "Ethernet0" of table "PORT"
// has the key "PORT|Ethernet0" (sonic-swss-common common/table.h, TableBase::getTableName and
// getKeyName).
type Table struct {
	prefix string // table name and separator
}

// NewTable returns the named table in db.
func NewTable(db Database, name string) Table {
	return Table{prefix: name + db.Separator}
}

// Key returns the Redis key of a row.
func (t Table) Key(key string) string { return t.prefix + key }

// Pattern returns a glob pattern that matches the Redis keys of all rows.
func (t Table) Pattern() string { return t.prefix + "*" }

// KeyOf is the inverse of Key. It returns the row key of a Redis key, and false if the Redis key
// belongs to another table.
func (t Table) KeyOf(redisKey string) (key string, ok bool) {
	return strings.CutPrefix(redisKey, t.prefix)
}
