package portsync

import (
	"context"

	"portsyncd/internal/sonicdb"
)

// dial connects to a database. When ctx ends, the connection is closed, so an exchange with a slow
// server does not delay the shutdown.
func dial(ctx context.Context, db sonicdb.Database) (*sonicdb.Conn, error) {
	c, err := sonicdb.Dial(ctx, db.Options())
	if err != nil {
		return nil, err
	}
	c.CloseWith(ctx)
	return c, nil
}

// beginDial is like dial but does not wait for the server, which must accept commands before
// Complete returns.
func beginDial(ctx context.Context, db sonicdb.Database) (*sonicdb.Conn, error) {
	o := db.Options()
	o.Ping = true
	c, err := sonicdb.Begin(ctx, o)
	if err != nil {
		return nil, err
	}
	c.CloseWith(ctx)
	return c, nil
}
