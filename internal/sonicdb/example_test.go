package sonicdb_test

import (
	"fmt"

	"portsyncd/internal/sonicdb"
)

func ExampleTable() {
	config := sonicdb.StaticMap("unix", "/var/run/redis/redis.sock")
	db, err := config.Database("CONFIG_DB")
	if err != nil {
		fmt.Println(err)
		return
	}
	port := sonicdb.NewTable(db, "PORT")
	fmt.Println(port.Key("Ethernet0"), "in database", db.ID, "at", db.Instance.Address())
	name, ok := port.KeyOf("PORT|Ethernet4")
	fmt.Println(name, ok)
	// Output:
	// PORT|Ethernet0 in database 4 at /var/run/redis/redis.sock
	// Ethernet4 true
}
