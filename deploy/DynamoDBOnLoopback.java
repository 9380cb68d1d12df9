import java.net.InetSocketAddress;
import org.eclipse.jetty.server.Server;
import software.amazon.dynamodb.services.local.server.LocalDynamoDBRequestHandler;
import software.amazon.dynamodb.services.local.server.LocalDynamoDBServerHandler;

/** DynamoDB Local in memory, on a loopback port: its own main class listens on every interface and sends telemetry. */
public class DynamoDBOnLoopback {
    public static void main(String[] port) throws Exception {
        var inMemory = new LocalDynamoDBRequestHandler(0, true, null, false, false);
        var server = new Server(new InetSocketAddress("127.0.0.1", Integer.parseInt(port[0])));
        server.setHandler(new LocalDynamoDBServerHandler(inMemory, null));
        server.start();
    }
}
