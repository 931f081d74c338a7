package lab_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"portsyncd/internal/lab"
	"portsyncd/internal/sonicdb"
)

// A database is served on a socket, and read from within the process.
func ExampleDB() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "redis.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		fmt.Println(err)
		return
	}
	db := lab.NewDB(lab.DBOptions{Databases: 32, Notify: "AKE"})
	defer db.Close()
	go db.Serve(l)

	ctx := context.Background()
	conn, err := sonicdb.Dial(ctx, sonicdb.Options{Network: "unix", Address: socket, DB: lab.StateDB})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	conn.Send("HSET", "PORT_TABLE|Ethernet0", "state", "ok", "mtu", "9100")
	if err := conn.Flush(); err != nil {
		fmt.Println(err)
		return
	}
	// No reply was awaited, so wait for the row itself.
	err = db.Await(ctx, func() bool { return db.Hash(lab.StateDB, "PORT_TABLE|Ethernet0") != nil })
	fmt.Println(db.Hash(lab.StateDB, "PORT_TABLE|Ethernet0"), err)

	db.SetFault(lab.Fault{Error: lab.OutOfMemory, WritesOnly: true})
	conn.Receive()
	_, err = conn.Do("DEL", "PORT_TABLE|Ethernet0")
	fmt.Println(err)
	// Output:
	// map[mtu:9100 state:ok] <nil>
	// redis: OOM command not allowed when used memory > 'maxmemory'.
}
