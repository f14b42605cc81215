// pion's TURN client sends datagrams to a peer that echoes them, and counts what comes back. It stands for the
// many programs that are built on it.
//
// usage: pion SERVER udp|tcp|tls|dtls USERNAME PASSWORD PEER COUNT
//
// Prints `mapped ADDRESS`, `relayed ADDRESS` once it has a relay, and `echoed COUNT` at the end.
package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/turn/v5"
)

func main() {
	if len(os.Args) != 7 {
		log.Fatal("usage: pion SERVER udp|tcp|tls|dtls USERNAME PASSWORD PEER COUNT")
	}
	count, err := strconv.Atoi(os.Args[6])
	check(err)
	conn, err := dial(os.Args[2], os.Args[1])
	check(err)
	check(run(conn, os.Args[1], os.Args[3], os.Args[4], os.Args[5], count))
}

// dial gives what the client sends its messages through.
func dial(transport, server string) (net.PacketConn, error) {
	switch transport {
	case "udp":
		return net.ListenPacket("udp4", "127.0.0.1:0")
	case "tcp":
		conn, err := net.Dial("tcp4", server)
		return turn.NewSTUNConn(conn), err
	case "tls":
		// The gateway's certificate is its own.
		conn, err := tls.Dial("tcp4", server, &tls.Config{InsecureSkipVerify: true})
		return turn.NewSTUNConn(conn), err
	case "dtls":
		address, err := net.ResolveUDPAddr("udp4", server)
		if err != nil {
			return nil, err
		}
		conn, err := dtls.Dial("udp4", address, &dtls.Config{InsecureSkipVerify: true})
		return turn.NewSTUNConn(conn), err
	default:
		return nil, fmt.Errorf("no transport %q", transport)
	}
}

func run(conn net.PacketConn, server, username, password, peer string, count int) error {
	client, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: server,
		TURNServerAddr: server,
		Conn:           conn,
		Username:       username,
		Password:       password,
	})
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Listen(); err != nil {
		return err
	}
	mapped, err := client.SendBindingRequest()
	if err != nil {
		return fmt.Errorf("binding: %w", err)
	}
	fmt.Println("mapped", mapped)
	relay, err := client.Allocate()
	if err != nil {
		return fmt.Errorf("allocate: %w", err)
	}
	fmt.Println("relayed", relay.LocalAddr())
	if err := echo(relay, peer, count); err != nil {
		return err
	}
	fmt.Println("echoed", count)
	return relay.Close()
}

func echo(relay net.PacketConn, peer string, count int) error {
	to, err := net.ResolveUDPAddr("udp4", peer)
	if err != nil {
		return err
	}
	buffer := make([]byte, 2048)
	for number := range count {
		// Over a stream, pion waits for more when less than nine bytes of a frame are there.
		sent := bytes.Repeat([]byte{byte(number)}, 5+number%1200)
		if _, err := relay.WriteTo(sent, to); err != nil {
			return fmt.Errorf("datagram %d: %w", number, err)
		}
		if err := relay.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			return err
		}
		length, from, err := relay.ReadFrom(buffer)
		if err != nil {
			return fmt.Errorf("echo %d: %w", number, err)
		}
		if from.String() != peer || !bytes.Equal(sent, buffer[:length]) {
			return fmt.Errorf("echo %d: %d bytes from %s", number, length, from)
		}
	}
	return nil
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
