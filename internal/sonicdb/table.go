package sonicdb

import "strings"

// FieldValue is one field of a row. SONiC stores every value as a string.
type FieldValue struct {
	Field, Value string
}

// Lookup returns the value of the first field of that name.
func Lookup(fvs []FieldValue, field string) (value string, ok bool) {
	for i := range fvs {
		if fvs[i].Field == field {
			return fvs[i].Value, true
		}
	}
	return "", false
}

// Unlist cuts s at its first '@'. CONFIG_DB marks a field that holds a list by
// an '@' behind its name ("lanes@"), and SONiC drops the mark, with whatever
// follows it, from names it copies and from values it uses itself.
func Unlist(s string) string {
	before, _, _ := strings.Cut(s, "@")
	return before
}

// Table names the rows of one table: the row "Ethernet0" of table "PORT" in a
// database with separator "|" is the key "PORT|Ethernet0" (sonic-swss-common
// common/table.h, TableBase::getTableName and getKeyName).
type Table struct {
	prefix string // name and separator
}

// NewTable returns the table of that name in db.
func NewTable(db Database, name string) Table {
	return Table{prefix: name + db.Separator}
}

// Key returns the Redis key of a row.
func (t Table) Key(key string) string { return t.prefix + key }

// Pattern returns the glob pattern that matches the keys of all rows.
func (t Table) Pattern() string { return t.prefix + "*" }

// KeyOf is the opposite of Key: what follows the first separator, further
// separators included. It is false for a key of another table.
func (t Table) KeyOf(redisKey string) (key string, ok bool) {
	return strings.CutPrefix(redisKey, t.prefix)
}
