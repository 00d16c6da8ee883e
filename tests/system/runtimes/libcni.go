// libcni ADD|CHECK|DEL CONFLIST CONTAINER NETNS [NAME=JSON…]: what a runtime built on Debian's libcni does;
// NAME=JSON are capability arguments. Prints the result of ADD.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/containernetworking/cni/libcni"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 4 {
		return fmt.Errorf("usage: libcni ADD|CHECK|DEL CONFLIST CONTAINER NETNS [NAME=JSON...]")
	}
	list, err := libcni.ConfListFromFile(args[1])
	if err != nil {
		return err
	}
	runtime := &libcni.RuntimeConf{
		ContainerID: args[2], NetNS: args[3], IfName: "eth0", CapabilityArgs: map[string]interface{}{},
	}
	if args[3] == "-" {
		runtime.NetNS = ""
	}
	for _, argument := range args[4:] {
		name, text, _ := strings.Cut(argument, "=")
		var value interface{}
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			return err
		}
		runtime.CapabilityArgs[name] = value
	}
	cni := libcni.NewCNIConfigWithCacheDir([]string{"/opt/cni/bin", "/usr/lib/cni"}, "/run/libcni", nil)
	switch args[0] {
	case "ADD":
		result, err := cni.AddNetworkList(context.Background(), list, runtime)
		if err != nil {
			return err
		}
		return result.Print()
	case "CHECK":
		return cni.CheckNetworkList(context.Background(), list, runtime)
	case "DEL":
		return cni.DelNetworkList(context.Background(), list, runtime)
	}
	return fmt.Errorf("unknown verb %s", args[0])
}
