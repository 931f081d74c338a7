package sonicdb

import (
	"slices"
	"strconv"
)

// scanCount is the number of keys that the server examines per SCAN call. Each call blocks the
// server for tens of microseconds.
const scanCount = 512

// Scan returns the sorted keys that match a glob pattern. It blocks the server only briefly for
// each step. The result includes every key that exists during the whole scan. It may or may not
// include keys that are created or deleted during the scan
// (https://redis.io/docs/latest/commands/scan/).
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
			return slices.Compact(keys), nil // SCAN may return a key more than once
		}
	}
}
