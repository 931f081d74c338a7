package sonicdb

import (
	"slices"
	"strconv"
)

// scanCount is the number of keys that the server checks in one step of Scan. A step takes some tens of
// microseconds, during which the server blocks.
const scanCount = 512

// Scan returns the keys that match a glob pattern, sorted. It blocks the server only for short steps.
// The result includes all keys that exist during the whole scan; keys that are created or deleted
// meanwhile may be included or not (https://redis.io/docs/latest/commands/scan/).
func (c *Conn) Scan(pattern string) ([]string, error) {
	var keys []string
	cursor := "0"
	for {
		r, err := c.Do("SCAN", cursor, "MATCH", pattern, "COUNT", strconv.Itoa(scanCount))
		if err != nil {
			return nil, err
		}
		if len(r.Array) != 2 || r.Array[0].Kind != BulkString || !isStrings(&r.Array[1]) {
			return nil, c.mismatch("a cursor and an array of keys", r)
		}
		cursor = string(r.Array[0].Str)
		for _, k := range r.Array[1].Array {
			keys = append(keys, string(k.Str))
		}
		if cursor == "0" {
			slices.Sort(keys)
			return slices.Compact(keys), nil // a server may return a key twice
		}
	}
}
