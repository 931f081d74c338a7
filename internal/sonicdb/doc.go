// Package sonicdb is a Redis client for SONiC's databases. It is independent of links and ports.
//
// # Layers
//
// The lower layer is a Redis client: resp.go (replies and their limits), reader.go, skip.go and
// writer.go (the codec), conn.go (connections), pubsub.go (subscriptions), commands.go and scan.go
// (commands). The upper layer implements SONiC's conventions: dbmap.go (server, number and separator
// of each database), table.go (keys of a table), producer.go (rows for a consumer) and mirror.go
// (rows that depend on rows of another table).
//
// The wire format is version 2 of
// https://redis.io/docs/latest/develop/reference/protocol-spec/, the default of servers.
//
// # Pipelining
//
// Commands are appended to a buffer, written together by Flush, and answered in order:
//
//	for _, row := range rows {
//		c.Command(4)
//		c.String("HSET")
//		c.String(row.key)
//		c.String("mtu")
//		c.Int(row.mtu)
//	}
//	if err := c.Flush(); err != nil {
//		return err // the connection is closed
//	}
//	for c.Pending() > 0 {
//		if _, err := c.Receive(); err != nil {
//			// a ServerError concerns one row, anything else the connection
//		}
//	}
//
// Appending and receiving do not allocate after the buffers have grown to their size.
//
// # Errors
//
//   - [ServerError] is an error reply. The connection stays usable. [Temporary] reports whether a
//     retry can succeed.
//   - [*ProtocolError] means that the server sent invalid data. The connection is closed.
//   - All other errors are I/O errors, timeouts, or misuse of a Conn such as a wrong number of
//     arguments. The connection is closed.
//
// A Conn closed by an error cannot be used again, because the position in the reply stream is lost.
// Later calls return an error that wraps net.ErrClosed and the first error. The server may or may
// not have executed commands without a reply, so the daemon sends only idempotent commands and
// repeats them on a new connection.
//
// # Concurrency
//
// A Conn belongs to one goroutine; only Close may be called from others. There is no mutex. Values of
// the upper layer are immutable and may be shared, except Map, see SetCredentials.
//
// # Scripts and flushes
//
// If APPL_DB and STATE_DB share a server, a single [MirrorScript] call writes a batch: it looks up
// the ports in APPL_DB and writes to STATE_DB atomically, in one round trip. If the server no
// longer has the script, the next call sends its source.
//
// FLUSHDB does not cause keyspace notifications. To detect a flush, the daemon uses CLIENT TRACKING
// in broadcasting mode with a prefix that matches no key: a flush sends an invalidation message.
// Servers before Redis 6 do not support CLIENT TRACKING.
package sonicdb
