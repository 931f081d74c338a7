// Package sonicdb speaks RESP2 to a Redis server and knows how SONiC names
// things in it. It knows nothing of links and ports.
//
// # Two layers
//
// The lower one is a client: resp.go (what a reply is and the limits on it),
// reader.go and writer.go (the codec), conn.go (one connection), pubsub.go (a
// connection that listens), commands.go (the few commands the daemon needs).
// It knows no SONiC. The upper one is SONiC's naming: dbmap.go (which server,
// number and separator a database has), table.go (keys of a table), producer.go
// (handing a row to its consumer) and mirror.go (rows that exist as long as those
// of another table). It knows no bytes.
//
// The wire format is https://redis.io/docs/latest/develop/reference/protocol-spec/
// in version 2, the one a server speaks when it is not asked for another.
//
// # Pipelining
//
// Commands are appended to a buffer, written together by Flush and answered in
// order:
//
//	for _, row := range rows {
//		c.Command(4)
//		c.String("HSET")
//		c.String(row.key)
//		c.String("mtu")
//		c.Int(row.mtu)
//	}
//	if err := c.Flush(); err != nil {
//		return err // the connection is gone
//	}
//	for c.Pending() > 0 {
//		if _, err := c.Receive(); err != nil {
//			// a ServerError concerns one row, anything else the connection
//		}
//	}
//
// Neither appending nor receiving allocates once the buffers have their size.
//
// # Failures
//
// There are three kinds, told apart with errors.As and errors.Is:
//
//   - [ServerError], an error reply. The connection stays usable. [Temporary]
//     tells whether it is worth trying again.
//   - [*ProtocolError], bytes that are no reply. The connection is closed.
//   - anything else: an I/O error, a timeout, or misuse of a Conn such as a
//     wrong number of arguments. The connection is closed.
//
// A closed Conn stays closed: after half a reply nobody knows where the next
// one begins. Later calls return an error that is net.ErrClosed and the first
// cause. What became of commands that were sent and not answered is unknown,
// so all that the daemon writes is idempotent and is written again through
// a fresh connection.
//
// # Concurrency
//
// A Conn belongs to one goroutine; only Close may be called from another. There
// is no mutex. Values of the naming layer are immutable and may be shared.
//
// # Scripts and flushes
//
// If APPL_DB and STATE_DB share a server, one call of [MirrorScript] writes a batch: the lookup in
// APPL_DB and the write to STATE_DB are one atomic step and take one round trip. A server that lost
// the script gets its source with the next call.
//
// No keyspace notification reports FLUSHDB. The daemon uses CLIENT TRACKING in broadcasting mode with a
// prefix that matches no key: a flush sends an invalidation message. Servers before Redis 6 lack
// CLIENT TRACKING.
package sonicdb
