package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"portsyncd/internal/sonicdb"
)

// Options configures a [Switch]. The zero value is a switch without ports that uses a temporary
// directory and real interfaces.
type Options struct {
	// Ports is the number of ports in CONFIG_DB. See SeedPorts.
	Ports int
	// Dir is the directory for the socket and the database map. If empty, a temporary directory is
	// used and Close removes it.
	Dir string
	// Links creates the ports' interfaces. See [Orchagent.Links]. If nil, they are created in the
	// current network namespace.
	Links LinkMaker
	// Pace and Report are passed to the [Orchagent].
	Pace   time.Duration
	Report func(OrchEvent)
}

// Switch is the environment in which portsyncd runs: the databases with their socket and map, and
// an [Orchagent] in the caller's network namespace.
type Switch struct {
	DB         *DB
	Socket     string       // path of the unix socket that DB serves
	ConfigFile string       // path of the database_config.json
	Map        *sonicdb.Map // content of ConfigFile
	Orchagent  Orchagent

	temporary string // directory to be removed by Close, or ""
	links     *Links // to be closed by Close, or nil
}

// Numbers of the databases used by portsyncd.
const (
	ApplDB   = 0
	ConfigDB = 4
	StateDB  = 6
)

// NewSwitch returns a switch whose databases are served until Close. Run starts the orchagent.
func NewSwitch(o Options) (s *Switch, err error) {
	s = &Switch{DB: NewDB(DBOptions{Databases: 32, Notify: "AKE"})}
	defer func() {
		if err != nil {
			err = fmt.Errorf("create switch: %w", errors.Join(err, s.Close()))
			s = nil
		}
	}()
	dir := o.Dir
	if dir == "" {
		if s.temporary, err = os.MkdirTemp("", "portsyncd-lab"); err != nil {
			return s, err
		}
		dir = s.temporary
	}
	if err := s.serve(dir); err != nil {
		return s, err
	}
	if o.Links == nil {
		if s.links, err = DialLinks(); err != nil {
			return s, err
		}
		o.Links = s.links
	}
	applDB, err := s.Map.Database("APPL_DB")
	if err != nil {
		return s, err
	}
	s.Orchagent = Orchagent{ApplDB: applDB, Links: o.Links, Pace: o.Pace, Report: o.Report}
	return s, s.SeedPorts(o.Ports)
}

// serve writes the database map and starts listening.
func (s *Switch) serve(dir string) error {
	s.Socket = filepath.Join(dir, "redis.sock")
	s.ConfigFile = filepath.Join(dir, "sonic-db", "database_config.json")
	src, err := json.MarshalIndent(databaseConfig(s.Socket), "", "    ")
	if err != nil {
		return err
	}
	if s.Map, err = sonicdb.ParseMap(s.ConfigFile, src); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.ConfigFile), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(s.ConfigFile, append(src, '\n'), 0o644); err != nil {
		return err
	}
	l, err := net.Listen("unix", s.Socket)
	if err != nil {
		return err
	}
	go s.DB.Serve(l)
	return nil
}

// databaseConfig returns the contents of a database_config.json with SONiC's default numbers and
// separators. Source: sonic-swss-common common/database_config.json
func databaseConfig(socket string) any {
	type database struct {
		ID        int    `json:"id"`
		Separator string `json:"separator"`
		Instance  string `json:"instance"`
	}
	type instance struct {
		Hostname string `json:"hostname"`
		Port     int    `json:"port"`
		Socket   string `json:"unix_socket_path"`
	}
	return struct {
		Instances map[string]instance `json:"INSTANCES"`
		Databases map[string]database `json:"DATABASES"`
		Version   string              `json:"VERSION"`
	}{
		Instances: map[string]instance{"redis": {"127.0.0.1", 6379, socket}},
		Databases: map[string]database{
			"APPL_DB":         {ApplDB, ":", "redis"},
			"ASIC_DB":         {1, ":", "redis"},
			"COUNTERS_DB":     {2, ":", "redis"},
			"LOGLEVEL_DB":     {3, ":", "redis"},
			"CONFIG_DB":       {ConfigDB, "|", "redis"},
			"FLEX_COUNTER_DB": {5, ":", "redis"},
			"STATE_DB":        {StateDB, "|", "redis"},
		},
		Version: "1.0",
	}
}

// PortName returns the name of the i-th port, counting from 0. Each port has four lanes.
func PortName(i int) string { return "Ethernet" + strconv.Itoa(4*i) }

// SeedPorts writes n ports and DEVICE_METADATA to CONFIG_DB. The ports are named by [PortName],
// have four lanes, admin status up and an MTU of 9100.
func (s *Switch) SeedPorts(n int) error {
	rows := [][]string{{"DEVICE_METADATA|localhost",
		"hostname", "lab", "hwsku", "portsyncd-lab", "platform", "x86_64-portsyncd_lab-r0",
		"type", "ToRRouter", "mac", "02:00:00:00:00:01"}}
	for i := range n {
		lane := 4 * i
		rows = append(rows, []string{"PORT|" + PortName(i),
			"lanes", fmt.Sprintf("%d,%d,%d,%d", lane, lane+1, lane+2, lane+3),
			"alias", "etp" + strconv.Itoa(i+1), "index", strconv.Itoa(i + 1),
			"speed", "100000", "mtu", "9100", "admin_status", "up"})
	}
	for _, row := range rows {
		if _, err := s.DB.Do(ConfigDB, append([]string{"HSET"}, row...)...); err != nil {
			return fmt.Errorf("seed CONFIG_DB row %q: %w", row[0], err)
		}
	}
	return nil
}

// Run runs the orchagent until ctx ends. See [Orchagent.Run].
func (s *Switch) Run(ctx context.Context) error { return s.Orchagent.Run(ctx) }

// Close closes the database and removes the temporary directory. Interfaces remain until their
// namespace is deleted. Close must not be called before Run returns.
func (s *Switch) Close() error {
	err := s.DB.Close()
	if s.links != nil {
		err = errors.Join(err, s.links.Close())
	}
	if s.temporary != "" {
		err = errors.Join(err, os.RemoveAll(s.temporary))
	}
	return err
}
