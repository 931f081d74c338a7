package sonicdb

import "strings"

// FieldValue is a field of a row. SONiC stores all values as strings.
type FieldValue struct {
	Field, Value string
}

// Lookup returns the value of the first field with that name.
func Lookup(fvs []FieldValue, field string) (value string, ok bool) {
	for i := range fvs {
		if fvs[i].Field == field {
			return fvs[i].Value, true
		}
	}
	return "", false
}

// TrimListMark returns s up to its first '@'. In CONFIG_DB the name of a field with a list ends in '@'
// ("lanes@"). SONiC removes the '@', and all that follows it, from names that it copies and from
// values that it uses itself.
func TrimListMark(s string) string {
	before, _, _ := strings.Cut(s, "@")
	return before
}

// Table builds the keys of a table: the row "Ethernet0" of table "PORT" in a
// database with separator "|" is the key "PORT|Ethernet0" (sonic-swss-common
// common/table.h, TableBase::getTableName and getKeyName).
type Table struct {
	prefix string // name and separator
}

// NewTable returns the table with that name in db.
func NewTable(db Database, name string) Table {
	return Table{prefix: name + db.Separator}
}

// Key returns the Redis key of a row.
func (t Table) Key(key string) string { return t.prefix + key }

// Pattern returns the glob pattern that matches the keys of all rows.
func (t Table) Pattern() string { return t.prefix + "*" }

// KeyOf is the inverse of Key: it returns the part after the first separator. It returns false for a
// key of another table.
func (t Table) KeyOf(redisKey string) (key string, ok bool) {
	return strings.CutPrefix(redisKey, t.prefix)
}
