package sonicdb

import "strings"

// chunk is the number of commands that multi-row functions send before they receive replies. It
// bounds the amount of data in the socket buffers.
const chunk = 128

// Keys returns the keys that match a glob pattern, in no particular order. It blocks the server
// during the whole search. For large databases, use Scan instead.
func (c *Conn) Keys(pattern string) ([]string, error) {
	c.Send("KEYS", pattern)
	if err := c.Flush(); err != nil {
		return nil, err
	}
	return c.ReceiveKeys()
}

// ReceiveKeys receives the reply to KEYS.
func (c *Conn) ReceiveKeys() ([]string, error) {
	r, err := c.Receive()
	if err != nil {
		return nil, err
	}
	if !isStrings(r) {
		return nil, c.mismatch("an array of keys", r)
	}
	keys := make([]string, len(r.Array))
	for i, k := range r.Array {
		keys[i] = string(k.Str)
	}
	return keys, nil
}

// Exists returns the number of keys that exist.
func (c *Conn) Exists(keys ...string) (int64, error) { return c.integer("EXISTS", keys...) }

// Del deletes keys and returns the number of keys that were deleted.
func (c *Conn) Del(keys ...string) (int64, error) { return c.integer("DEL", keys...) }

func (c *Conn) integer(command string, args ...string) (int64, error) {
	c.Command(1 + len(args))
	c.String(command)
	for _, a := range args {
		c.String(a)
	}
	r, err := c.roundTrip()
	if err != nil {
		return 0, err
	}
	if r.Kind != Integer {
		return 0, c.mismatch("an integer", r)
	}
	return r.Int, nil
}

// HSet sets fields of a hash and leaves its other fields unchanged.
func (c *Conn) HSet(key string, fvs ...FieldValue) error {
	c.AppendHSet(key, fvs...)
	_, err := c.roundTrip()
	return err
}

// AppendHSet appends an HSET command.
func (c *Conn) AppendHSet(key string, fvs ...FieldValue) {
	c.Command(2 + 2*len(fvs))
	c.String("HSET")
	c.String(key)
	for i := range fvs {
		c.String(fvs[i].Field)
		c.String(fvs[i].Value)
	}
}

// HGetAll returns the fields of a hash in the server's order. It returns no fields if the key does
// not exist.
func (c *Conn) HGetAll(key string) ([]FieldValue, error) {
	c.Send("HGETALL", key)
	if err := c.Flush(); err != nil {
		return nil, err
	}
	return c.receiveHash(nil)
}

// RowResult holds the fields of one key, or the error reply for the key, as returned by
// HGetAllMany.
type RowResult struct {
	Key    string
	Fields []FieldValue
	Err    error // a ServerError for this key, such as WRONGTYPE
}

// HGetAllMany pipelines an HGETALL for each key. Error replies are returned in RowResult.Err. If
// HGetAllMany itself returns an error, the connection is closed.
func (c *Conn) HGetAllMany(keys []string) ([]RowResult, error) {
	rows := make([]RowResult, len(keys))
	var last []FieldValue // the fields of the previous row
	for first := 0; first < len(keys); first += chunk {
		batch := rows[first:min(first+chunk, len(rows))]
		for i := range batch {
			batch[i].Key = keys[first+i]
			c.Send("HGETALL", batch[i].Key)
		}
		if err := c.Flush(); err != nil {
			return nil, err
		}
		for i := range batch {
			batch[i].Fields, batch[i].Err = c.receiveHash(last)
			if _, ok := batch[i].Err.(ServerError); batch[i].Err != nil && !ok {
				return nil, batch[i].Err
			}
			last = batch[i].Fields
		}
	}
	return rows, nil
}

// receiveHash receives a reply that is an array of alternating fields and values. It shares memory to
// save allocations: the values share one string, and a field that has the same name in the hash last,
// at the same place, uses that string.
func (c *Conn) receiveHash(last []FieldValue) ([]FieldValue, error) {
	r, err := c.Receive()
	if err != nil {
		return nil, err
	}
	if !isStrings(r) || len(r.Array)%2 != 0 {
		return nil, c.mismatch("an array of fields and values", r)
	}
	fvs := make([]FieldValue, len(r.Array)/2)
	var all strings.Builder
	size := 0
	for i := range fvs {
		size += len(r.Array[2*i+1].Str)
	}
	all.Grow(size)
	for i := range fvs {
		all.Write(r.Array[2*i+1].Str)
	}
	values := all.String()
	for i := range fvs {
		field, n := r.Array[2*i].Str, len(r.Array[2*i+1].Str)
		if i < len(last) && last[i].Field == string(field) {
			fvs[i].Field = last[i].Field
		} else {
			fvs[i].Field = string(field)
		}
		fvs[i].Value, values = values[:n], values[n:]
	}
	return fvs, nil
}

// HMGet returns the given fields of a hash, in the order of the arguments. It omits fields that do
// not exist.
func (c *Conn) HMGet(key string, fields ...string) ([]FieldValue, error) {
	c.Command(2 + len(fields))
	c.String("HMGET")
	c.String(key)
	for _, f := range fields {
		c.String(f)
	}
	r, err := c.roundTrip()
	if err != nil {
		return nil, err
	}
	if len(r.Array) != len(fields) {
		return nil, c.mismatch("an array with a value for each field", r)
	}
	var fvs []FieldValue
	for i, v := range r.Array {
		switch v.Kind {
		case BulkString:
			fvs = append(fvs, FieldValue{Field: fields[i], Value: string(v.Str)})
		case Null:
		default:
			return nil, c.mismatch("a string or null for each field", &v)
		}
	}
	return fvs, nil
}

func isStrings(r *Reply) bool {
	for i := range r.Array {
		if r.Array[i].Kind != BulkString {
			return false
		}
	}
	return r.Kind == Array
}
